"""A browser on the webmail: keys pressed as a person presses them, and when the answer was painted.

A key is timed from the moment at which the browser took it (its event's time stamp) to the end of the frame in which
what it asked for stands in the document. What the graphics system does after that is not in it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailplatform.bench.errors import BenchFailed

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, StorageState

_SYSTEM_CHROMIUM = Path("/usr/bin/chromium")
_WITHIN_MS = 20_000.0

# What may be waited for, by name. `was` is what stood there when the key was armed.
_ARM = """([name, wanted]) => {
  const list = document.querySelector("conversation-list");
  const looks = {
    row: () => document.activeElement.closest(".row")?.id,
    star: () => list.currentRow.classList.contains("starred"),
    toast: () => document.querySelector("#toasts .toast") !== null,
    open: () => document.querySelector("#conversation")?.dataset.thread === wanted,
    rows: () => list.querySelectorAll(".row").length,
  };
  for (const old of document.querySelectorAll("#toasts .toast")) old.remove();
  const was = looks[name]();
  window.painted = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`no ${name} after the key`)), 20_000);
    addEventListener("keydown", (event) => {
      const look = () => {
        if (looks[name]() === was) return requestAnimationFrame(look);
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(performance.now() - event.timeStamp);
        port2.postMessage(null);
      };
      requestAnimationFrame(look);
    }, { capture: true, once: true });
  });
}"""

_SCROLL = """async (pages) => {
  const list = document.querySelector("conversation-list");
  const frames = [];
  let most = 0;
  let last = performance.now();
  const enough = list.pages.pages.length + pages;
  while (list.pages.pages.length < enough && list.pages.more && frames.length < 3000) {
    list.scroller.scrollTop += 400;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    most = Math.max(most, list.querySelectorAll(".row").length);
  }
  return { frames, rows: most, pages: list.pages.pages.length };
}"""

_PLACE = """() => {
  const list = document.querySelector("conversation-list");
  if (!list?.scroller) return null;
  const top = list.scroller.getBoundingClientRect().top;
  const row = [...list.querySelectorAll(".row")].find((one) => one.getBoundingClientRect().bottom > top);
  return row ? [row.id, Math.round(row.getBoundingClientRect().top - top)] : null;
}"""

_LOADED = """() => {
  const scripts = performance.getEntriesByType("resource").filter((one) => one.name.endsWith(".js"));
  const all = [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")];
  return {
    painted: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    script_bytes: scripts.reduce((sum, one) => sum + one.encodedBodySize, 0),
    bytes: all.reduce((sum, one) => sum + one.transferSize, 0),
  };
}"""


def why_not() -> str:
    """Why pages cannot be measured; "" where they can."""
    if find_spec("playwright") is None:
        return "Playwright is not installed; `make bench` installs it"
    return "" if _system_chromium() or _own_chromium() else "no Chromium; `make browser` installs one"


def _own_chromium() -> bool:
    """Where `playwright install` puts its browsers, unless told otherwise."""
    return any(Path.home().glob(".cache/ms-playwright/chromium*"))


def _system_chromium() -> Path | None:
    return _SYSTEM_CHROMIUM if _SYSTEM_CHROMIUM.exists() else None


@asynccontextmanager
async def running_browser() -> AsyncIterator["Browser"]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        browser = await playwright.chromium.launch(executable_path=_system_chromium(), args=flags)
        try:
            yield browser
        finally:
            await browser.close()


class Reader:
    """One signed-in person at one page."""

    def __init__(self, page: "Page") -> None:
        self.page = page

    @classmethod
    async def sign_in(cls, browser: "Browser", web: str, person: dict[str, str]) -> "Reader":
        context = await browser.new_context(base_url=web, viewport={"width": 1440, "height": 900})
        context.set_default_timeout(_WITHIN_MS)
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_label("Address").fill(person["email"])
        await page.get_by_label("Password").fill(person["password"])
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_selector("conversation-list .row")
        return cls(page)

    async def press(self, key: str, waits_for: str, wanted: str = "") -> float:
        """Milliseconds from the key to the paint of what it waits for: `_ARM`."""
        await self.page.evaluate(_ARM, [waits_for, wanted])
        await self.page.keyboard.press(key)
        return float(await self.page.evaluate("window.painted"))

    async def rest(self, milliseconds: float) -> None:
        """As a person does: what the last key set going comes to its end."""
        await self.page.wait_for_timeout(milliseconds)

    async def focus_row(self, number: int) -> str:
        """Put the keys on a row by its number among those in the document, and give its conversation."""
        return str(
            await self.page.evaluate(
                """(number) => {
                  const row = document.querySelectorAll("conversation-list .row:not(.leaving)")[number];
                  row.querySelector("a").focus();
                  return row.dataset.thread;
                }""",
                number,
            )
        )

    async def current(self) -> str:
        """The conversation that keys act on."""
        return str(
            await self.page.evaluate(
                'document.querySelector("conversation-list").currentRow?.dataset.thread ?? ""'
            )
        )

    async def scroll(self, pages: int) -> dict[str, Any]:
        """Scroll on, a frame at a time, until so many more pages were read: {frames in ms, rows, pages}."""
        found: dict[str, Any] = await self.page.evaluate(_SCROLL, pages)
        return found

    async def place(self) -> list[Any]:
        """The uppermost row in sight, and by how many pixels it is cut off."""
        found: list[Any] | None = await self.page.evaluate(_PLACE)
        return found or []

    async def wait_place(self, wanted: list[Any]) -> None:
        """Until the list stands where it stood. Raises Playwright's TimeoutError when it does not."""
        await self.page.wait_for_function(
            f"(wanted) => JSON.stringify(({_PLACE})()) === JSON.stringify(wanted)", arg=wanted
        )

    async def newest_in_sight(self) -> bool:
        """Whether the last message of the open conversation can be seen."""
        return bool(
            await self.page.evaluate(
                """() => {
                  const last = [...document.querySelectorAll("#messages .msg")].at(-1).getBoundingClientRect();
                  return last.top < innerHeight && last.bottom > 0;
                }"""
            )
        )


async def load_anew(browser: "Browser", state: "StorageState", url: str) -> dict[str, float]:
    """Load a page with nothing in the cache: {painted in ms, bytes, script_bytes}, as they went over the wire."""
    context = await browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
    try:
        page = await context.new_page()
        await page.goto(url, wait_until="networkidle")
        if not await page.query_selector("conversation-list .row"):
            raise BenchFailed(f"{url} shows no conversation")
        found: dict[str, float] = await page.evaluate(_LOADED)
        return found
    finally:
        await context.close()
