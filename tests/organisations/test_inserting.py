"""Rows of several tables in one statement, and errors that stay Django's."""

import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from apps.mailboxes.models import Domain, Mailbox, MailboxKind
from apps.organisations.inserting import insert
from apps.organisations.models import Organisation
from apps.organisations.prepared import executed

pytestmark = pytest.mark.django_db(transaction=True)


def mailbox_of(house: Organisation, name: str) -> Mailbox:
    return Mailbox(organisation=house, name=name, address=f"{name}@x.example", kind=MailboxKind.SHARED)


def test_rows_are_written_whatever_the_order_of_their_tables() -> None:
    house = Organisation(name="It's 100 % theirs: %s")
    rows = [mailbox_of(house, "one"), Domain(organisation=house, name="x.example"), mailbox_of(house, "two")]
    with transaction.atomic():
        insert(*rows, house)
    assert Organisation.objects.get() == house
    assert Organisation.objects.get().name == "It's 100 % theirs: %s"
    assert set(Mailbox.objects.all()) == {rows[0], rows[2]}
    assert Domain.objects.get().created_at is not None
    rows[0].save()
    assert Mailbox.objects.count() == 2


def test_nothing_is_nothing() -> None:
    insert()


def test_what_may_not_be_there_twice_is_an_error_of_django() -> None:
    house = Organisation.objects.create(name="House")
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(mailbox_of(house, "one"), mailbox_of(house, "one"))
    assert not Mailbox.objects.exists()


def test_what_belongs_to_nobody_is_refused_at_the_commit() -> None:
    nobody = Organisation(id=uuid.uuid4(), name="Nowhere")
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(mailbox_of(nobody, "one"))


def test_a_statement_is_prepared_once_a_connection_has_seen_it_often() -> None:
    for number in range(8):
        with executed("SELECT %(number)s::int + 1", {"number": number}) as rows:
            assert rows.fetchone() == (number + 1,)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int + 1'"
        )
        assert cursor.fetchone() == (1,)
