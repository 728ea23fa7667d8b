"""Presence: colleagues hear who is at a conversation, strangers never, and nobody stays behind."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from asgiref.sync import sync_to_async
from django.utils import timezone
from redis import Redis
from structlog.testing import capture_logs

from apps.live import consumers, presence
from apps.mailboxes.models import Membership, Message
from tests.arrivals import arrive
from tests.live.line import Line, open_line
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def every_ping_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "PINGS_AT_LEAST_SECONDS_APART", 0)


@pytest.fixture
def mail(house: House) -> Message:
    return arrive(house.support)


async def be_at(line: Line, mailbox: uuid.UUID, thread: uuid.UUID | None, *, typing: bool = False) -> None:
    place = {"mailbox": str(mailbox), "thread": str(thread) if thread else None, "typing": typing}
    await line.say(json.dumps({"at": place}))


async def hear_who_is_there(line: Line) -> list[tuple[str, bool]]:
    heard: dict[str, Any] = await line.hear()
    while "mailbox" in heard:  # mail that came in between
        heard = await line.hear()
    return [(one["initials"], one["typing"]) for one in heard["people"]]


async def test_a_colleague_hears_who_looks_who_writes_and_who_leaves(house: House, mail: Message) -> None:
    alice, bob = await open_line(house.alice), await open_line(house.bob)
    await be_at(bob, house.support.pk, mail.thread_id)
    assert await hear_who_is_there(alice) == [("BH", False)]
    await be_at(bob, house.support.pk, mail.thread_id, typing=True)
    assert await hear_who_is_there(alice) == [("BH", True)]
    await bob.leave()
    assert await hear_who_is_there(alice) == []
    await alice.leave()


async def test_who_comes_later_is_told_who_is_there_already(house: House, mail: Message) -> None:
    bob = await open_line(house.bob)
    await be_at(bob, house.support.pk, mail.thread_id)
    await bob.hear()
    alice = await open_line(house.alice)
    await be_at(alice, house.support.pk, None)
    assert await hear_who_is_there(alice) == [("BH", False)]
    await alice.leave()
    await bob.leave()


async def test_a_stranger_hears_nothing_and_cannot_be_there(
    house: House, stranger: House, mail: Message
) -> None:
    alice, outsider = await open_line(house.alice), await open_line(stranger.alice)
    await be_at(outsider, house.support.pk, mail.thread_id)
    await be_at(outsider, house.support.pk, None)
    await be_at(outsider, stranger.support.pk, mail.thread_id)  # their mailbox, somebody else's conversation
    await be_at(alice, house.support.pk, mail.thread_id)
    assert await hear_who_is_there(alice) == [("AH", False)]
    await outsider.ping()
    assert presence.people_in(stranger.support.pk) == []
    await alice.leave()
    await outsider.leave()


async def test_who_loses_the_mailbox_is_not_there_any_more(house: House, mail: Message) -> None:
    alice, bob = await open_line(house.alice), await open_line(house.bob)
    await be_at(bob, house.support.pk, mail.thread_id)
    await hear_who_is_there(alice)
    await sync_to_async(Membership.objects.filter(user=house.bob, mailbox=house.support).delete)()
    await bob.say('{"ping": true}')
    assert await hear_who_is_there(alice) == []
    await alice.leave()
    await bob.leave()


async def test_who_vanished_without_a_word_is_forgotten(house: House, mail: Message) -> None:
    here = presence.Present("x", "Bob", "BH", 0, str(mail.thread_id), typing=False)
    presence.stay(house.support.pk, "a line that died", here)
    assert len(presence.people_in(house.support.pk)) == 1
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert presence.people_in(house.support.pk) == []


async def test_who_leaves_while_something_is_told_leaves_nothing_behind_and_no_complaint(
    house: House, mail: Message
) -> None:
    alice, bob = await open_line(house.alice), await open_line(house.bob)
    await be_at(bob, house.support.pk, mail.thread_id)
    assert await hear_who_is_there(alice) == [("BH", False)]
    bob.is_broken = True
    with capture_logs() as logged:
        await sync_to_async(arrive)([house.support])
        assert "mailbox" in await alice.hear()
        await bob.say('{"ping": true}')
        await bob.leave()
    assert await hear_who_is_there(alice) == []
    assert logged == []
    await alice.leave()


async def test_nonsense_is_taken_for_a_heartbeat(house: House) -> None:
    alice = await open_line(house.alice)
    for text in (
        "",
        "[]",
        '{"at": 1}',
        '{"at": {"mailbox": "x"}}',
        '{"at": ' + "[" * 400,
        '{"at": {"mailbox": 5}}',
    ):
        await alice.say(text)
        assert await alice.hear() == {"pong": True}
    await alice.leave()


async def test_without_redis_nobody_is_anywhere_and_the_line_stays(
    house: House, mail: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await open_line(house.alice)
    nowhere = Redis.from_url("redis://127.0.0.1:9/0")  # RFC 863's discard port, where nothing listens
    monkeypatch.setattr(presence, "_redis", lambda: nowhere)
    await be_at(alice, house.support.pk, mail.thread_id)
    await alice.ping()
    await alice.leave()
