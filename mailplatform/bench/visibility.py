"""Arrival to visible: from the 250 to the list over REST, to the live notice, and to the rows a browser then fetches.

A watcher of REST asks for the newest page again and again. A watcher in the browser's place is told by the WebSocket,
waits the page's own moment, and fetches the rows of the inbox. Both share the machine with what they watch.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import unescape

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import LATENCIES_HEADER, Latencies, Table
from mailplatform.bench.load import Load, send_load
from mailplatform.bench.mails import Mails
from mailplatform.bench.session import Session
from mailplatform.bench.stack import Product, Progress
from mailplatform.bench.web import Connection, sign_in

ALONE = 100
RATE = 50.0
BUSY_SECONDS = 10.0
_SIZE_BYTES = 4096
_SESSIONS = 8
_SENDER = "customer@bench.invalid"
_WITHIN_SECONDS = 30.0
_POLL_SECONDS = 0.02
# static/js/list.js waits as long after a notice, so that a burst of them costs one fetch.
_PAGE_QUIET_SECONDS = 0.06
_NEXT_OVER_REST = re.compile(r'"next":"https?://[^/"]+([^"]+)"')
NEXT_ROWS = re.compile(r'class="more"\s+data-url="([^"]+)"')
# Nothing more is heard of a mail after so long; the next may come.
_SILENCE_SECONDS = 0.15


async def measure_visible(product: Product) -> Table:
    """Raises BenchFailed when a mail does not become visible."""
    table = Table("Arrival to visible, from the 250, 4 KB mails", LATENCIES_HEADER)
    shared = product.mailbox("shared")
    agent = next(user for user in product.demo["users"] if user["role"] == "agent")
    headers = await sign_in(product.web_port, agent["email"], agent["password"])
    over_rest = Connection(product.web_port, {"authorization": f"Bearer {product.api_key}"})
    browser = Connection(product.web_port, headers)
    listed = _ListOf(
        over_rest, f"/api/v1/mailboxes/{shared['id']}/messages?folder=inbox&limit=50", _NEXT_OVER_REST
    )
    rows = _ListOf(browser, f"/m/{shared['id']}/inbox/rows/", NEXT_ROWS)
    try:
        await _measure_rest(table, product, listed)
        await _measure_browser(table, product, rows, headers)
    finally:
        await over_rest.close()
        await browser.close()
    table.notes += [
        f"alone: one mail at a time on an idle machine. at {RATE:.0f} a second: for {BUSY_SECONDS:.0f} s.",
        "Every mail opens a ticket of its own in the shared mailbox.",
        "over REST: asked again 20 ms after each answer, so a figure is too long by that and one answer at most.",
        "in the browser: the notice, the 60 ms of quiet that the page keeps, and the inbox fetched.",
    ]
    return table


@dataclass(slots=True)
class _ListOf:
    """A list on a connection, and when each mail was first on it (monotonic seconds)."""

    connection: Connection
    path: str
    next_page: re.Pattern[str]
    seen_at: dict[int, float] = field(default_factory=dict)

    async def look(self, mails: Mails) -> None:
        """Fetch the newest page, and older ones while a page shows only mails that were not seen before."""
        path: str | None = self.path
        while path is not None:
            text = (await self.connection.request("GET", path)).body.decode()
            now = time.monotonic()
            shown = mails.numbers_in(text)
            has_gap = bool(shown) and shown.isdisjoint(self.seen_at)
            self.seen_at |= dict.fromkeys(shown - self.seen_at.keys(), now)
            next_path = self.next_page.search(text)
            path = unescape(next_path[1]) if has_gap and next_path else None


async def _measure_rest(table: Table, product: Product, listed: _ListOf) -> None:
    mails = _mails_to(product)
    session = await Session.open(product.smtp_port)
    waits: list[float] = []
    for number in range(ALONE):
        accepted_at = await _send_one(session, mails, number)
        progress = Progress("mails alone are on the list", number + 1)
        while number not in listed.seen_at:
            progress.note(number)
            await listed.look(mails)
            await asyncio.sleep(_POLL_SECONDS)
        waits.append(listed.seen_at[number] - accepted_at)
    await session.close()
    table.add_latencies("on the list over REST, alone", Latencies(tuple(waits)))

    listed.seen_at.clear()
    busy = _mails_to(product)

    async def look() -> None:
        await listed.look(busy)
        await asyncio.sleep(_POLL_SECONDS)

    load = await _watch_load(product, busy, listed, look)
    table.add_latencies(f"on the list over REST, at {RATE:.0f} a second", _waits(load, listed.seen_at))


async def _measure_browser(table: Table, product: Product, rows: _ListOf, headers: dict[str, str]) -> None:
    url = f"ws://127.0.0.1:{product.web_port}/live/"
    async with connect(
        url, origin=Origin(headers["origin"]), additional_headers={"cookie": headers["cookie"]}
    ) as socket:
        notices = _Notices(socket, product.mailbox("shared")["id"])
        await notices.wait_hello()
        listening = asyncio.create_task(notices.listen())
        try:
            await _measure_alone(table, product, rows, notices)
            await _measure_busy(table, product, rows, notices)
        finally:
            listening.cancel()


async def _measure_alone(table: Table, product: Product, rows: _ListOf, notices: "_Notices") -> None:
    mails = _mails_to(product)
    session = await Session.open(product.smtp_port)
    told: list[float] = []
    shown: list[float] = []
    for number in range(ALONE):
        await notices.wait_silence()
        accepted_at = await _send_one(session, mails, number)
        told_at = await notices.wait_next()
        await asyncio.sleep(_PAGE_QUIET_SECONDS)
        await rows.look(mails)
        while number not in rows.seen_at:  # told too early: as a browser would, wait for the next notice
            told_at = await notices.wait_next()
            await rows.look(mails)
        # A notice may overtake its own 250: both leave after the same commit.
        told.append(max(0.0, told_at - accepted_at))
        shown.append(rows.seen_at[number] - accepted_at)
    await session.close()
    table.add_latencies("live notice, alone", Latencies(tuple(told)))
    table.add_latencies("rows in the browser, alone", Latencies(tuple(shown)))


async def _measure_busy(table: Table, product: Product, rows: _ListOf, notices: "_Notices") -> None:
    rows.seen_at.clear()
    mails = _mails_to(product)
    await notices.wait_silence()

    async def look() -> None:
        await notices.wait_next()
        await asyncio.sleep(_PAGE_QUIET_SECONDS)
        await rows.look(mails)

    load = await _watch_load(product, mails, rows, look)
    table.add_latencies(f"rows in the browser, at {RATE:.0f} a second", _waits(load, rows.seen_at))


@dataclass(slots=True)
class _Notices:
    """What the WebSocket tells of one mailbox."""

    socket: ClientConnection
    mailbox_id: str
    heard_at: float = 0.0
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_hello(self) -> None:
        if not json.loads(await self.socket.recv()).get("hello"):
            raise BenchFailed("the WebSocket did not greet")

    async def listen(self) -> None:
        async for text in self.socket:
            notice = json.loads(text)
            if notice.get("mailbox") == self.mailbox_id and notice.get("topic") == "messages":
                self.heard_at = time.monotonic()
                self._heard.set()

    async def wait_next(self) -> float:
        """When the next notice came that nobody has waited for yet. Raises BenchFailed."""
        try:
            async with asyncio.timeout(_WITHIN_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            state = f"closed ({self.socket.close_code})" if self.socket.close_code else "open"
            raise BenchFailed(f"no live notice for {_WITHIN_SECONDS:.0f} s; the line is {state}") from None
        self._heard.clear()
        return self.heard_at

    async def wait_silence(self) -> None:
        """Until nothing was heard for a moment, so that the next notice is the next mail's."""
        while True:
            self._heard.clear()
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                return


def _mails_to(product: Product) -> Mails:
    return Mails(_SIZE_BYTES, _SENDER, product.mailbox("shared")["address"])


async def _send_one(session: Session, mails: Mails, number: int) -> float:
    """Send a mail, and when its 250 came."""
    await session.send(mails.sender.encode(), mails.recipient.encode(), mails.build(number), pipelined=False)
    return time.monotonic()


async def _watch_load(
    product: Product, mails: Mails, listed: _ListOf, look: Callable[[], Awaitable[None]]
) -> Load:
    """Send at the rate while looking, and look until every mail was seen."""
    await product.wait_quiet()
    count = int(RATE * BUSY_SECONDS)
    sending = asyncio.create_task(
        send_load(product.smtp_port, mails, count=count, sessions=_SESSIONS, rate=RATE)
    )
    progress = Progress("mails are on the list", count)
    while len(listed.seen_at) < count:
        progress.note(len(listed.seen_at))
        await look()
    return await sending


def _waits(load: Load, seen_at: dict[int, float]) -> Latencies:
    """From each mail's 250 to its being seen; one that was seen before its 250 arrived took no time."""
    return Latencies(tuple(max(0.0, seen_at[number] - at) for number, at in load.answered_at.items()))
