"""Erasing reaches what is being written: drafts to the customer, their files, and that mailboxes know them."""

import uuid
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.blobs.offloading import offload
from apps.events.services import sequence_committed
from apps.mailboxes.models import Mailbox
from apps.organisations.erasing import pseudonym_of
from apps.tickets.models import Ticket
from apps.writing.completion import complete, learn_correspondents
from apps.writing.drafts import Typed, save_draft
from apps.writing.files import append_piece, begin_file, content_of
from apps.writing.models import Correspondent, Draft, DraftFile, FilePiece
from tests.erasure.customer import ELENA, MARK, receive
from tests.erasure.test_erasing import erase
from tests.erasure.traces import empty_bucket, objects_that_say, tables_that_say
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)

BEN = "ben@customer.example"


@pytest.fixture(autouse=True)
def nothing_of_others(house: House) -> None:
    cache.clear()
    empty_bucket()


def begin(
    house: House, *, thread_id: uuid.UUID | None = None, mailbox: Mailbox | None = None, **fields: str
) -> Draft:
    typed = Typed({"text": f"About the {MARK}", **fields})
    where = mailbox or house.support
    return save_draft(
        house.as_alice, uuid.uuid4(), typed, mailbox=where, thread_id=thread_id, now=timezone.now()
    ).draft


def upload(draft: Draft, content: bytes, *, of: int | None = None, name: str = "list.txt") -> DraftFile:
    """A file of a draft; of a longer one, its beginning."""
    announced: dict[str, Any] = {
        "content_type": "text/plain",
        "size_bytes": of or len(content),
        "content_id": "",
    }
    file = begin_file(draft, uuid.uuid4(), filename=name, now=timezone.now(), **announced)
    return append_piece(file, 0, content)


def test_a_draft_to_them_goes_with_its_files_whole_or_half_uploaded(house: House) -> None:
    draft = begin(house, to=f"Elena Marsh <{ELENA}>", cc=house.support.address)
    upload(draft, f"The {MARK} list".encode())
    upload(draft, f"The {MARK} plan".encode() * 50_000, of=2_000_000, name="plan.bin")
    while offload():
        pass
    assert objects_that_say(MARK)
    erasure = erase(house)
    assert erasure.counts["drafts"] == 1
    assert not DraftFile.objects.exists()
    assert tables_that_say(MARK) == []
    assert objects_that_say(MARK) == []


def test_an_answer_to_them_goes_although_it_names_nobody_yet(house: House) -> None:
    receive(house, raw_mail(subject=f"About the {MARK}"))
    begin(house, thread_id=Ticket.objects.get().thread_id)
    begin(house, subject="A list of the ferries")
    erase(house)
    assert [draft.subject for draft in Draft.objects.all()] == ["A list of the ferries"]


def test_what_others_are_to_read_too_stays_and_names_a_pseudonym(house: House) -> None:
    draft = begin(house, to=f"{BEN}, {ELENA}", text=f"Ask {ELENA}.")
    file = upload(draft, f"Ben: {BEN}\nElena: {ELENA}\n".encode())
    half = upload(draft, f"{ELENA} and".encode(), of=1_000)
    erase(house)
    draft.refresh_from_db()
    pseudonym = pseudonym_of(house.organisation.pk, ELENA)
    assert (draft.fields["to"], draft.fields["text"]) == (f"{BEN}, {pseudonym}", f"Ask {pseudonym}.")
    file.refresh_from_db()
    assert content_of(file) == f"Ben: {BEN}\nElena: {pseudonym}\n".encode()
    assert file.size_bytes == file.received_bytes == len(content_of(file))
    assert not DraftFile.objects.filter(pk=half.pk).exists()
    assert not FilePiece.objects.exists()
    assert tables_that_say(ELENA) == []


def test_nobody_is_offered_their_name_any_more(house: House) -> None:
    receive(house, raw_mail())
    while sequence_committed():
        pass
    learn_correspondents()
    assert [one.address for one in complete(house.as_alice, house.support, "elena")] == [ELENA]
    erase(house)
    assert complete(house.as_alice, house.support, "elena") == []
    assert not Correspondent.objects.exists()
    assert tables_that_say("Elena Marsh") == []
