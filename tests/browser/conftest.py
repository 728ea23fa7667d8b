"""A real browser before a real server: uvicorn in a thread on the test database, at the very origins of the settings.

A test's page collects what the console says; an error or a broken Content-Security-Policy fails the test, whatever else
it looked at. Screenshots go to var/screenshots.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from django.conf import settings
from django.core.cache import cache
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.access import violations
from tests.people import PASSWORD
from tests.polling import wait_until

START_SECONDS = 15
# How long a browser test waits for what must come: a deadline for a busy machine, not a measure of speed.
PATIENCE_SECONDS = 20
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# What the browser says of a line that was opening when its page was left.
LEFT_WHILE_CONNECTING = "WebSocket is closed before the connection is established"
SYSTEM_CHROMIUM = Path("/usr/bin/chromium")
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SCREENSHOTS = settings.BASE_DIR / "var" / "screenshots"


@pytest.fixture(scope="package", autouse=True)
def orm_beside_playwrights_loop() -> Iterator[None]:
    """Playwright's synchronous interface keeps an event loop in this thread, and Django would refuse its ORM there.

    The loop only waits for the browser; nothing of ours runs on it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture
def web(transactional_db: None) -> Iterator[str]:
    """The web process at WEB_ORIGIN (and, by its other name, at CONTENT_ORIGIN)."""
    cache.clear()
    config = uvicorn.Config(
        "mailplatform.asgi:application",
        host=settings.WEB_HOST,
        port=settings.WEB_PORT,
        lifespan="off",
        access_log=False,
        log_config=None,
        loop="asyncio",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="web", daemon=True)
    thread.start()
    wait_until(lambda: server.started, START_SECONDS)
    yield settings.WEB_ORIGIN
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        executable = SYSTEM_CHROMIUM if SYSTEM_CHROMIUM.exists() else None
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser, web: str) -> Iterator[BrowserContext]:
    """A browser whose person asks for less motion: what is measured has arrived, and no drawer is on its way."""
    context = chromium.new_context(
        base_url=web,
        viewport={"width": 1440, "height": 900},
        timezone_id="Europe/Berlin",
        locale="en-GB",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield context
    context.close()


@pytest.fixture
def foreseen() -> set[int]:
    """The statuses that a test brings about; the browser calls every such answer an error.

    An answer of 422 is how a form says what is wrong. 0: none, because the test cuts the line.
    """
    return {422}


@pytest.fixture
def page(context: BrowserContext, foreseen: set[int]) -> Iterator[Page]:
    """A page that fails its test when the console heard an error, a violated policy or an uncaught exception."""
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said = message.text.replace("net::ERR_INTERNET_DISCONNECTED", "a status of 0").replace(
            "answered 0", "a status of 0"
        )
        is_foreseen = LEFT_WHILE_CONNECTING in said or any(
            f"status of {status}" in said for status in foreseen
        )
        if message.type in ("error", "warning") and not is_foreseen:
            complaints.append(f"{message.type}: {message.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    yield page
    assert complaints == []


@pytest.fixture
def sign_in(page: Page) -> Callable[[str], None]:
    def enter(email: str) -> None:
        page.goto("/")
        page.get_by_label("Address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("conversation-list")

    return enter


@pytest.fixture
def photograph(page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep what the page looks like, as var/screenshots/NAME-SIZE-SCHEME.png: the first size in light and the last in
    dark, and with --whole-matrix each size in both.

    So every state that is shown is also judged: it must keep to WCAG 2.2 AA, as far as axe can tell.
    """

    whole = request.config.getoption("--whole-matrix")

    def take(name: str, *, sizes: tuple[int, ...] = (1440, 360)) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        found: list[str] = []
        matrix: list[tuple[int, Scheme]] = [(width, scheme) for width in sizes for scheme in SCHEMES]
        sample: list[tuple[int, Scheme]] = [(sizes[0], "light"), (sizes[-1], "dark")]
        for width, scheme in matrix if whole else sample:
            page.set_viewport_size({"width": width, "height": 900 if width > 500 else 740})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("document.fonts.ready")
            path = SCREENSHOTS / f"{name}-{width}-{scheme}.png"
            page.screenshot(path=path, caret="initial", animations="disabled")
            found += [f"{path.stem}: {one}" for one in violations(page)]
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
        assert found == []

    return take
