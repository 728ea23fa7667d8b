"""Whom one may mean by what was typed: learned from mail, asked of one's own mailboxes only."""

from collections.abc import Iterable

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.events.services import sequence_committed
from apps.mailboxes.models import Folder, MailboxEntry
from apps.writing.completion import SHOWN, complete, learn_correspondents
from apps.writing.models import Correspondent
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House


def learn() -> None:
    while sequence_committed():
        pass
    while learn_correspondents():
        pass


def names(house: House, typed: str) -> list[str]:
    return [one.address for one in complete(house.as_alice, house.support, typed)]


def know(house: House, people: Iterable[tuple[str, str]]) -> None:
    Correspondent.objects.bulk_create(
        Correspondent(
            organisation=house.organisation,
            mailbox=house.support,
            address=address,
            name=name,
            last_at=timezone.now(),
        )
        for name, address in people
    )


@pytest.mark.django_db(transaction=True)
def test_who_wrote_and_who_was_written_to_is_found(house: House) -> None:
    arrive(house.support)
    send(house.as_alice, "Tomas Berg <tomas@customer.example>")
    learn()
    assert names(house, "ele") == ["elena@customer.example"]
    assert names(house, "MARSH") == ["elena@customer.example"]
    assert names(house, "berg") == ["tomas@customer.example"]
    # Whom one wrote to before who only wrote.
    assert names(house, "customer") == ["tomas@customer.example", "elena@customer.example"]
    assert names(house, " ") == []
    assert Correspondent.objects.get(address="tomas@customer.example").wrote_to == 1


@pytest.mark.django_db(transaction=True)
def test_reading_the_log_again_counts_nothing_twice_and_spam_teaches_nothing(house: House) -> None:
    arrive(house.support)
    MailboxEntry.objects.update(folder=Folder.SPAM)
    learn()
    assert not Correspondent.objects.exists()
    send(house.as_alice, "tomas@customer.example")
    send(house.as_alice, "Tomas Berg <TOMAS@customer.example>")
    learn()
    learn()
    row = Correspondent.objects.get()
    assert (row.name, row.wrote_to) == ("Tomas Berg", 2)


def test_colleagues_come_first_and_nobody_of_another_organisation(house: House, stranger: House) -> None:
    know(house, [("Alina", "alina@customer.example")])
    assert names(house, "al") == ["alice@house.test", "alina@customer.example"]
    assert names(house, "stranger") == []
    assert [one.address for one in complete(stranger.as_alice, stranger.support, "alina")] == []


def test_of_many_only_a_few_are_told_in_a_fixed_number_of_questions(
    house: House, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    know(house, ((f"Person {n}", f"p{n}@customer.example") for n in range(2000)))
    with django_assert_num_queries(2):
        assert len(names(house, "person")) == SHOWN
    assert names(house, "p17@")[0] == "p17@customer.example"
    assert names(house, "person 42") != []


@pytest.mark.parametrize("typed", ["%", "_", "\\", "'; --", "\x00", "a" * 5000, "(", "*"])
def test_what_was_typed_is_a_beginning_and_no_pattern(house: House, typed: str) -> None:
    know(house, [("Elena", "elena@customer.example")])
    assert names(house, typed) == []
