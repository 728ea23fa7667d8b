"""The webmail on a mailbox of 100,000 messages, or of a million: key to paint, pages at the server, scrolling.

A browser reads one mailbox as an agent does. Then the same pages are asked for over one HTTP connection, which is what
the server's figures are. `mailbox` says what the messages are like.
"""

import random
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from mailplatform.bench.browsing import Reader, load_anew, running_browser
from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import Latencies, Table
from mailplatform.bench.mailbox import ABSENT_WORD, COMMON_WORD, RARER_WORD, RAREST_WORD, thread_id
from mailplatform.bench.stack import Product
from mailplatform.bench.visibility import NEXT_ROWS
from mailplatform.bench.web import Connection, sign_in

if TYPE_CHECKING:
    from playwright.async_api import Browser

HEADER = ("milliseconds", "p50", "p95", "longest", "measured", "wanted", "holds")
# The figures of the webmail: of its p95, in milliseconds, and of the scripts of a first load, in bytes on the wire.
AT_ONCE, WARM, SERVED = 50, 100, 150
SCRIPT_BYTES = 60_000
_FRAGMENT = {"hx-request": "true", "hx-request-type": "partial", "hx-target": "reading"}
# Longer than the page waits before it looks ahead, and than an answer takes.
_LOOKS_AHEAD_MS = 600
_BREATH_MS = 150
_PAGES_SCROLLED = 20


@dataclass(frozen=True, slots=True)
class Place:
    """The mailbox that is read, as the product's URLs have it."""

    web: str
    mailbox_id: str
    messages: int

    @property
    def inbox(self) -> str:
        return f"/m/{self.mailbox_id}/inbox/"

    @property
    def rows(self) -> str:
        return f"{self.inbox}rows/"

    def conversation(self, number: int) -> str:
        return f"{self.inbox}{thread_id(number)}/"


async def measure_webmail(product: Product, messages: int) -> Table:
    """Raises BenchFailed where a page does not do what is measured. The mailbox was filled by `fill_mailbox`."""
    table = Table(f"Webmail, a mailbox of {messages:,} messages", HEADER)
    person = next(user for user in product.demo["users"] if user["role"] == "agent")
    place = Place(f"http://127.0.0.1:{product.web_port}", product.mailbox("shared")["id"], messages)
    async with running_browser() as browser:
        await _measure_reader(table, browser, place, person)
    headers = await sign_in(product.web_port, person["email"], person["password"])
    whole, fragments = (Connection(product.web_port, headers | own) for own in ({}, _FRAGMENT))
    try:
        _add(table, "the inbox, the page whole, over HTTP", await _served(whole, [place.inbox] * 20), SERVED)
        await _measure_server(table, fragments, place)
    finally:
        await whole.close()
        await fragments.close()
    table.notes += [
        "Keys and opening: from the key to the end of the frame that shows it; a graphics system would add its own.",
        "Warm: the conversation the keys rested on, or the next one; cold: one that nobody looked at before.",
        "Over HTTP: one connection, each answer to its last byte, conversations from all over the mailbox.",
    ]
    return table


async def _measure_reader(table: Table, browser: "Browser", place: Place, person: dict[str, str]) -> None:
    reader = await Reader.sign_in(browser, place.web, person)
    await _measure_long(table, reader, place)
    await _measure_keys(table, reader)
    await _measure_opening(table, reader)
    await _measure_scrolling(table, reader, place)
    state = await reader.page.context.storage_state()
    loads = [await load_anew(browser, state, place.web + place.inbox) for _ in range(5)]
    _add(table, "first load, nothing cached, to the painted list", (one["painted"] for one in loads))
    scripts = max(one["script_bytes"] for one in loads)
    everything = max(one["bytes"] for one in loads)
    table.notes.append(
        f"First load: {scripts / 1000:.1f} kB of scripts on the wire, {everything / 1000:.0f} kB in all; "
        f"wanted: under {SCRIPT_BYTES / 1000:.0f} kB of scripts: {_verdict(scripts, SCRIPT_BYTES)}."
    )
    table.figures.append({"row": "first load", "unit": "bytes", "values": [one["bytes"] for one in loads]})


async def _measure_long(table: Table, reader: Reader, place: Place) -> None:
    """The newest conversation of the inbox is the one of a thousand messages."""
    times: list[float] = []
    for _ in range(5):
        await reader.page.goto(place.inbox)
        times.append(await reader.press("Enter", "open", await reader.focus_row(0)))
        if not await reader.newest_in_sight():
            raise BenchFailed("a conversation of a thousand messages was not opened at its newest")
    _add(table, "Enter: 1,000 messages, at its newest, cold", times)
    await reader.page.goto(place.inbox)


async def _measure_keys(table: Table, reader: Reader) -> None:
    await reader.focus_row(1)
    _add(
        table,
        "j: the next row",
        [await _then_rest(reader, reader.press("j", "row")) for _ in range(40)],
        AT_ONCE,
    )
    starred: list[float] = []
    solved: list[float] = []
    for _ in range(20):
        starred.append(await _then_rest(reader, reader.press("s", "star")))
        solved.append(await _then_rest(reader, reader.press("e", "toast")))
        await _then_rest(reader, reader.press("k", "row"))
    _add(table, "s: starred", starred, AT_ONCE)
    _add(table, "e: solved", solved, AT_ONCE)


async def _measure_opening(table: Table, reader: Reader) -> None:
    """Warm by the keys, cold by a jump; and the two keys again while a conversation is open."""
    warm: list[float] = []
    for _ in range(15):
        await reader.press("j", "row")
        await reader.rest(_LOOKS_AHEAD_MS)
        warm.append(await reader.press("Enter", "open", await reader.current()))
        await reader.rest(_BREATH_MS)
    _add(table, "Enter: opened warm", warm, WARM)
    cold: list[float] = []
    for number in range(45, 15, -2):
        cold.append(await reader.press("Enter", "open", await reader.focus_row(number)))
        await reader.rest(_BREATH_MS)
    _add(table, "Enter: opened cold", cold)
    starred: list[float] = []
    solved: list[float] = []
    for number in range(16, 44, 2):
        await reader.press("Enter", "open", await reader.focus_row(number))
        await reader.rest(_BREATH_MS)
        starred.append(await _then_rest(reader, reader.press("s", "star")))
        solved.append(await _then_rest(reader, reader.press("e", "toast")))
    _add(table, "s: starred, the conversation open", starred, AT_ONCE)
    _add(table, "e: solved, the conversation open", solved, AT_ONCE)


async def _then_rest(reader: Reader, pressed: Awaitable[float]) -> float:
    milliseconds = await pressed
    await reader.rest(_BREATH_MS)
    return milliseconds


async def _measure_scrolling(table: Table, reader: Reader, place: Place) -> None:
    await reader.page.goto(place.inbox)
    found = await reader.scroll(_PAGES_SCROLLED)
    _add(table, f"frames while {_PAGES_SCROLLED} pages are scrolled through", found["frames"], AT_ONCE)
    await reader.rest(_LOOKS_AHEAD_MS)
    before = await reader.place()
    await reader.page.goto("/drafts/")
    began = time.perf_counter()
    await reader.page.go_back(wait_until="commit")
    await reader.wait_place(before)
    _add(table, f"Back to row {found['pages'] * 50:,}, same row", [1000 * (time.perf_counter() - began)])
    table.notes.append(
        f"Scrolling: {found['pages']} pages of 50 were read, and no more than {found['rows']} rows were ever in the "
        f"document; Back found the very row again, at the same height."
    )


async def _measure_server(table: Table, connection: Connection, place: Place) -> None:
    chance = random.Random(place.messages)  # noqa: S311  which conversations, the same in each run
    threads = [place.conversation(chance.randrange(600, place.messages // 2)) for _ in range(80)]
    pages = {
        "a conversation over HTTP": threads,
        "a conversation of 1,000 messages over HTTP": [place.conversation(0)] * 20,
        "the rail's figures over HTTP": ["/rail/"] * 20,
    }
    for title, paths in pages.items():
        _add(table, title, await _served(connection, paths), SERVED)
    _add(table, "the next page of the list over HTTP", await _walk(connection, place.rows, 40), SERVED)
    searches = {
        "a word of half the messages": COMMON_WORD,
        "a word of one in 200": RARER_WORD,
        "a word of 20 messages": RAREST_WORD,
        "a word of none": ABSENT_WORD,
        "from:, is:unread": f"is:unread from:{RARER_WORD}",
    }
    for title, query in searches.items():
        path = f"{place.rows}?{urlencode({'q': query})}"
        _add(table, f"search over HTTP: {title}", await _served(connection, [path] * 20), SERVED)


async def _served(connection: Connection, paths: Iterable[str]) -> list[float]:
    times: list[float] = []
    for path in paths:
        began = time.perf_counter()
        await connection.request("GET", path)
        times.append(1000 * (time.perf_counter() - began))
    return times


async def _walk(connection: Connection, path: str, pages: int) -> list[float]:
    """One page after the other."""
    times: list[float] = []
    for _ in range(pages):
        began = time.perf_counter()
        answer = await connection.request("GET", path)
        times.append(1000 * (time.perf_counter() - began))
        more = NEXT_ROWS.search(answer.body.decode())
        if more is None:
            raise BenchFailed("the list ended before its time")
        path = unescape(more[1])
    return times


def _add(table: Table, title: str, milliseconds: Iterable[float], wanted: float | None = None) -> None:
    latencies = Latencies(tuple(one / 1000 for one in milliseconds))
    p50, p95 = (latencies.percentile(percent) * 1000 for percent in (50, 95))
    shown = [f"{one:.0f}" for one in (p50, p95, max(latencies.values) * 1000, len(latencies.values))]
    judged = [f"{wanted:.0f}", _verdict(p95, wanted)] if wanted is not None else ["", ""]
    table.rows.append([title, *shown, *judged])
    table.figures.append(
        {"row": title, "unit": "seconds", "values": list(latencies.values), "wanted": wanted}
    )


def _verdict(measured: float, wanted: float) -> str:
    return "holds" if measured <= wanted else "MISSED"
