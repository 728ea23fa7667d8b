"""The live line: who hears of what, and who is cut off."""

import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.db import SessionStore

from apps.accounts.models import User
from apps.events.notices import REMEMBERED_MS, group_of_mailbox, quiet_ms
from apps.live import consumers
from apps.mailboxes.models import Membership
from tests.arrivals import arrive
from tests.live.line import Line, cookie_of, open_line
from tests.people import House
from tests.polling import wait_until
from tests.servers import Servers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def every_ping_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "PINGS_AT_LEAST_SECONDS_APART", 0)


async def test_arriving_mail_is_told_to_those_who_see_the_mailbox(house: House, stranger: House) -> None:
    alice, outsider = await open_line(house.alice), await open_line(stranger.alice)
    await sync_to_async(arrive)([house.support])
    # The mail and its ticket are told each by itself, in no order.
    heard = await alice.hear()
    if heard["topic"] == "tickets":
        heard = await alice.hear()
    assert heard == {"mailbox": str(house.support.pk), "topic": "messages"}
    await outsider.ping()
    await sync_to_async(arrive)([stranger.support], to="support@stranger.test")
    heard = await outsider.hear()
    assert heard["mailbox"] == str(stranger.support.pk)
    await alice.leave()
    await outsider.leave()


async def test_a_colleagues_own_mailbox_is_not_told(house: House) -> None:
    alice = await open_line(house.alice)
    await sync_to_async(arrive)([house.bobs], to="bob@house.test")
    await sync_to_async(arrive)([house.alices], to="alice@house.test", message_id="hers@x.example")
    heard = await alice.hear()
    assert heard["mailbox"] == str(house.alices.pk)
    await alice.leave()


async def test_a_notice_says_where_and_never_what(house: House) -> None:
    alice = await open_line(house.alice)
    await sync_to_async(arrive)([house.support])
    assert set(await alice.hear()) == {"mailbox", "topic"}
    await alice.leave()


async def test_who_opens_a_line_is_told_for_how_long_nothing_changed_in_what_they_see(house: House) -> None:
    asked_at = time.monotonic()
    await sync_to_async(arrive)([house.bobs], to="bob@house.test")
    alice, bob = [Line(await sync_to_async(cookie_of)(one)) for one in (house.alice, house.bob)]
    await sync_to_async(wait_until)(lambda: quiet_ms([group_of_mailbox(house.bobs.pk)]) < REMEMBERED_MS)
    await alice.connect()
    assert await alice.hear() == {"hello": True, "quiet_ms": REMEMBERED_MS}
    await bob.connect()
    assert 0 <= (await bob.hear())["quiet_ms"] <= 1000 * (time.monotonic() - asked_at)
    await alice.leave()
    await bob.leave()


async def test_whoever_is_not_signed_in_is_turned_away(house: House) -> None:
    for cookie in (b"", b"sessionid=nonsense"):
        opened = Line(cookie)
        await opened.connect()
        assert await opened.close_code() == 4401


async def test_another_sites_page_gets_no_line(house: House) -> None:
    opened = Line(await sync_to_async(cookie_of)(house.alice), origin="https://evil.example")
    assert (await opened.connect())["type"] == "websocket.close"


async def test_whoever_was_taken_out_of_a_mailbox_hears_no_more_after_a_heartbeat(house: House) -> None:
    alice = await open_line(house.alice)
    await Membership.objects.filter(user=house.alice, mailbox=house.support).adelete()
    await alice.ping()
    await sync_to_async(arrive)([house.support, house.alices])
    assert (await alice.hear())["mailbox"] == str(house.alices.pk)
    await alice.leave()


async def test_whoever_was_put_into_a_mailbox_hears_of_it_after_a_heartbeat(house: House) -> None:
    alice = await open_line(house.alice)
    await Membership.objects.acreate(user=house.alice, mailbox=house.bobs)
    await alice.ping()
    await sync_to_async(arrive)([house.bobs], to="bob@house.test")
    assert (await alice.hear())["mailbox"] == str(house.bobs.pk)
    await alice.leave()


async def test_a_session_that_ended_ends_the_line(house: House) -> None:
    alice = await open_line(house.alice)
    await SessionStore.get_model_class().objects.all().adelete()
    await alice.say('{"ping": true}')
    assert await alice.close_code() == 4401


async def test_a_deactivated_person_is_cut_off(house: House) -> None:
    alice = await open_line(house.alice)
    await User.objects.filter(pk=house.alice.pk).aupdate(is_active=False)
    await alice.say('{"ping": true}')
    assert await alice.close_code() == 4401


async def test_a_changed_password_ends_the_line(house: House) -> None:
    alice = await open_line(house.alice)
    house.alice.set_password("another long password")
    await house.alice.asave()
    await alice.say('{"ping": true}')
    assert await alice.close_code() == 4401


async def test_nonsense_ends_nothing(house: House) -> None:
    alice = await open_line(house.alice)
    for frame in ("{", "null", "[]", '{"ping": "x"}', "\x00"):
        await alice.say(frame)
        assert await alice.hear() == {"pong": True}
    await alice.say_bytes(b"\xff\x00")
    assert await alice.hear() == {"pong": True}
    await alice.leave()


async def test_without_redis_one_is_told_to_come_again_and_can(house: House, servers: Servers) -> None:
    cookie = await sync_to_async(cookie_of)(house.alice)
    await sync_to_async(servers.valkey.stop)()
    answer = await Line(cookie).connect(patience_seconds=30)  # Redis's own client tries again for a while
    assert answer == {"type": "websocket.close", "code": consumers.TRY_AGAIN_LATER}
    await sync_to_async(servers.valkey.restart)()
    alice = await open_line(house.alice)
    await alice.leave()


async def test_pings_in_a_flood_cost_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "PINGS_AT_LEAST_SECONDS_APART", 3600)
    alice = await open_line(house.alice)
    for _ in range(50):
        await alice.say('{"ping": true}')
    await sync_to_async(arrive)([house.support])
    assert "mailbox" in await alice.hear()
    await alice.leave()
