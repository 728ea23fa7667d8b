"""Several mails filed in one go come to lie as they would one after the other."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import transaction

from apps.events.models import Event
from apps.mailboxes.message_ids import message_ids
from apps.mailboxes.models import Direction, Folder, Mailbox, MailboxEntry, Message, digest_of_message_id
from apps.mailboxes.projection import prepare
from apps.tickets.intake import Arriving, FilingTogether
from apps.tickets.models import Ticket, TicketState
from tests.mail import raw_mail
from tests.people import House, build_house

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PEOPLE = ("elena@customer.example", "Bo@customer.example", "mallory@stranger.example")


def arriving(raw: bytes, *mailboxes: Mailbox, after: int = 0, forged: bool = False) -> Arriving:
    return Arriving(
        prepared=prepare(raw),
        organisation_id=mailboxes[0].organisation_id,
        mailboxes=mailboxes,
        received_at=NOW + timedelta(seconds=after),
        authentication={"dmarc": {"result": "fail"}} if forged else None,
    )


def file_in_batches(mails: Sequence[Arriving], size: int) -> None:
    for start in range(0, len(mails), size):
        with transaction.atomic():
            FilingTogether(mails[start : start + size]).write()


def as_filed(house: House) -> list[Any]:
    """All that people see of it, with messages and conversations called by when they came."""
    messages = list(Message.objects.filter(organisation=house.organisation).order_by("received_at"))
    n_of = {message.pk: n for n, message in enumerate(messages)}
    begins = {message.thread_id: n for n, message in reversed(list(enumerate(messages)))}
    tickets = Ticket.objects.filter(organisation=house.organisation).select_related("mailbox")
    entries = MailboxEntry.objects.filter(organisation=house.organisation).select_related("mailbox")
    events: Any = Event.objects.filter(organisation=house.organisation, message_id__isnull=False)
    events = events.values_list("message_id", "kind", "data")
    return [
        [(begins[one.thread_id], one.filed_rule, one.new_participant, one.machine_turns) for one in messages],
        sorted(
            (one.number, one.mailbox.name, begins[one.thread_id], one.state, one.last_activity_at)
            for one in tickets
        ),
        sorted((n_of[one.message_id], one.mailbox.name, one.folder) for one in entries),
        sorted((n_of[message], kind, str(data.get("reopened"))) for message, kind, data in events),
    ]


def random_mails(house: House, draw: random.Random, ours: str) -> Iterator[Arriving]:
    """Mails that answer each other and a mail of ours, by people who take part and by strangers, over a list or not."""
    for n in range(20):
        quoted = [f"{draw.randrange(20)}@x.example" for _ in range(draw.randrange(3))]
        headers = {"References": " ".join(f"<{one}>" for one in quoted)} if quoted else {}
        if n == 10 or draw.random() < 0.2:
            headers["In-Reply-To"] = f"<{ours}>"
        if draw.random() < 0.3:
            headers["List-Id"] = "<dev.lists.example>"
        if draw.random() < 0.2:
            headers["Auto-Submitted"] = "auto-replied"
        if draw.random() < 0.3:
            headers["Cc"] = draw.choice(PEOPLE).upper()
        raw = raw_mail(
            message_id=f"{draw.choice((n, n, n, draw.randrange(20)))}@x.example",
            sender=draw.choice(PEOPLE),
            subject=f"No. {n % 3}",
            headers=headers,
        )
        places = draw.choice(([house.support], [house.alices], [house.support, house.alices]))
        yield arriving(raw, *places, after=n, forged=draw.random() < 0.2)


@pytest.mark.parametrize("seed", range(12))
def test_mails_filed_together_lie_where_they_would_one_by_one(seed: int) -> None:
    """Six are there already, the first of them ours; those are archived, and their tickets solved."""
    alone, together = build_house("House", "alone.test"), build_house("House", "together.test")
    for house, size in ((alone, 1), (together, 7)):
        ours = message_ids().make(house.organisation.pk, house.domain)
        mails = list(random_mails(house, random.Random(seed), ours))  # noqa: S311 - no secret
        file_in_batches(mails[:6], 1)
        of_house = Message.objects.filter(organisation=house.organisation)
        of_house.filter(received_at=NOW).update(
            direction=Direction.OUT, rfc_message_id=ours, rfc_message_id_digest=digest_of_message_id(ours)
        )
        Ticket.objects.filter(organisation=house.organisation).update(state=TicketState.SOLVED, solved_at=NOW)
        MailboxEntry.objects.filter(organisation=house.organisation).update(folder=Folder.ARCHIVE)
        file_in_batches(mails[6:], size)
    filed = as_filed(alone)
    assert as_filed(together) == filed
    assert {rule for _begins, rule, _new, _turns in filed[0]} > {"answers_ours"}


def test_eight_mails_ask_no_more_than_two(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them answer a mail that is there, and half begin a conversation."""
    statements: list[object] = []
    execute: Any = psycopg.Cursor.execute

    def count(cursor: Any, statement: object, *args: Any, **named: Any) -> Any:
        statements.append(statement)
        return execute(cursor, statement, *args, **named)

    def asked(numbers: Sequence[int]) -> list[object]:
        answers = {n: {"In-Reply-To": "<0@x.example>"} if n % 2 else None for n in numbers}
        mails = [
            arriving(raw_mail(message_id=f"{n}@x.example", headers=headers), house.support, after=n)
            for n, headers in answers.items()
        ]
        statements.clear()
        file_in_batches(mails, len(mails))
        return list(statements)

    file_in_batches([arriving(raw_mail(message_id="0@x.example"), house.support)], 1)
    monkeypatch.setattr(psycopg.Cursor, "execute", count)
    of_two = asked([1, 2])
    assert 5 < len(of_two) == len(asked(range(3, 11)))
