"""The attack run: hostile mail in a real browser, every event fired at every element, and what came of it counted.

Each vector is a mail, stored and served as any other, and shown in every way that a mail can be. The frames stand on a
page of one colour with the pages' own policy, so that a pixel of any other colour outside of them, or anything over the
page, is seen. Files, and what a mail says in its head, are tried in test_attack_by_files.py.
"""

import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pytest
from django.conf import settings
from django.utils import timezone
from PIL import Image
from playwright.sync_api import BrowserContext, Dialog, Frame, Page

from apps.mailboxes.models import Message
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from tests.arrivals import arrive
from tests.browser.attacks import events, generated, published
from tests.browser.conftest import Scheme
from tests.mime.test_unwrap import forward
from tests.people import House

pytestmark = pytest.mark.browser

AT_ONCE = 24
GROUND = (255, 0, 255)
# On a page of ours, so that its own policy stands around the frames; sandboxed as its own frames are.
SHOW = """async ([urls, sandbox]) => {
  for (const one of document.head.querySelectorAll('link, style')) one.remove();
  document.body.replaceChildren();
  document.documentElement.style.cssText = 'background: #ff00ff';
  document.body.style.cssText = 'margin: 0; background: #ff00ff';
  await Promise.all(urls.map(url => {
    const frame = document.createElement('iframe');
    frame.setAttribute('sandbox', sandbox);
    frame.referrerPolicy = 'no-referrer';
    frame.style.cssText =
      'display: block; margin: 30px; inline-size: 500px; block-size: 160px; border: 0; background: #fff';
    frame.src = url;
    document.body.append(frame);
    return new Promise(resolve => frame.addEventListener('load', resolve));
  }));
}"""
BARE = """<!DOCTYPE html><style>
body { margin: 0; background: #ff00ff }
iframe { display: block; margin: 30px; inline-size: 500px; block-size: 160px; border: 0; background: #fff }
</style><iframe srcdoc='<p onclick=x>y</p><script>alert(1)</script><img src=http://far.example/x>'></iframe><p>over</p>"""
FIRE = """events => {
  for (const element of [document, window, ...document.querySelectorAll('*')]) {
    for (const name of events) element.dispatchEvent(new Event(name, {bubbles: false, cancelable: true}));
    element.focus?.();
    if (element.click && !/^(https?|mailto|tel):/.test(element.href ?? '') && !element.href) element.click();
  }
}"""
LEFT_OVER = """() => [...document.querySelectorAll('body *')].filter(element =>
  /^(script|iframe|frame|object|embed|form|input|button|svg|math|link|meta|base|style|video|audio)$/i.test(element.tagName)
  || [...element.attributes].some(one => /^on|^(srcdoc|formaction|ping|action)$/i.test(one.name)
    || (one.name === 'background' && !one.value.includes('/content/remote/')))
  || /^\\s*(javascript|data|vbscript):/i.test(element.getAttribute('href') ?? '')
  || ['fixed', 'absolute', 'sticky'].includes(getComputedStyle(element).position)).map(one => one.outerHTML)"""


@dataclass(frozen=True)
class Showing:
    """One of the ways in which a mail's HTML is seen."""

    name: str
    query: str = ""
    kind: ContentKind = ContentKind.BODY
    scheme: Scheme = "light"
    media: Literal["screen", "print"] = "screen"

    @property
    def sandbox(self) -> str:
        printed = "allow-same-origin allow-modals " if self.kind == ContentKind.PRINT else ""
        return f"{printed}allow-popups allow-popups-to-escape-sandbox"

    def mail(self, vector: str) -> bytes:
        head = b"From: evil@far.example\r\nTo: support@house.test\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        return (
            forward(head + vector.encode()) if self.kind == ContentKind.ENCLOSED else head + vector.encode()
        )

    def urls(self, house: House, mails: Sequence[Message]) -> list[str]:
        now = timezone.now()
        return [
            content_url(self.kind, ContentClaim(one.pk, house.alice.pk, n), now) + self.query
            for one in mails
            for n in self._numbers(one)
        ]

    def _numbers(self, message: Message) -> list[int]:
        if self.kind == ContentKind.ENCLOSED:
            return [one["n"] for one in message.contents["enclosed"]]
        return [0] if message.html_id or message.short_html else []


ALL_SHOWN = "?quotes=shown&pictures=shown&colours=adapted"
AS_IT_COMES = Showing("as it comes")
SHOWINGS = (
    AS_IT_COMES,
    Showing("adapted in the dark", ALL_SHOWN, scheme="dark"),
    Showing("forwarded", ALL_SHOWN, ContentKind.ENCLOSED),
    Showing("printed", "?framed", ContentKind.PRINT, media="print"),
)


class Witness:
    """Whatever a browser does that it should not, by kind."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.counts: Counter[str] = Counter()
        self.told: list[str] = []
        ours = (settings.WEB_ORIGIN, settings.CONTENT_ORIGIN, "data:", "about:")
        # Asked for, and so seen; not let out.
        page.route(re.compile(r"^https?://(?!127\.0\.0\.1|localhost)"), lambda route: route.abort())
        page.on(
            "request", lambda one: None if one.url.startswith(ours) else self.see("request left", one.url)
        )
        page.on(
            "response",
            lambda one: None if one.ok or "/content/" not in one.url else self.see("not shown", one.url),
        )
        page.on("dialog", self._dismiss)
        page.on("pageerror", lambda one: self.see("script ran", str(one)))
        page.on("console", lambda one: self.see("policy was needed", one.text))
        context.on("page", lambda one: None if one == page else self.see("window opened", one.url))

    def _dismiss(self, dialog: Dialog) -> None:
        self.see("script ran", dialog.message)
        dialog.dismiss()

    def see(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.told.append(f"{kind}: {what[:300]}")


@pytest.fixture
def stage(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    page.set_viewport_size({"width": 560, "height": 190 * AT_ONCE + 30})
    yield page
    page.close()


def attack(
    page: Page, witness: Witness, house: House, vectors: Sequence[str], showing: Showing = AS_IT_COMES
) -> None:
    """Show each vector as a mail, fire everything, and look."""
    before, shown = witness.counts.copy(), 0
    page.emulate_media(color_scheme=showing.scheme, media=showing.media)
    for at in range(0, len(vectors), AT_ONCE):
        mails = [arrive(house.support, showing.mail(one)) for one in vectors[at : at + AT_ONCE]]
        urls = showing.urls(house, mails)
        page.goto("/sign-in/")
        page.evaluate(SHOW, [urls, showing.sandbox])
        shown += len(urls)
        for frame in page.frames[1:]:
            _fire(frame, witness)
        _look_around(page, witness)
    came_of_it = dict(witness.counts - before) or "nothing happened"
    sys.stdout.write(
        f"\n{showing.name}: {len(vectors)} vectors, {shown} frames, {len(events())} events each; {came_of_it}\n"
    )


def _fire(frame: Frame, witness: Witness) -> None:
    left_over = frame.evaluate(LEFT_OVER)
    for one in left_over:
        witness.see("left over", one)
    frame.evaluate(FIRE, events())


def _look_around(page: Page, witness: Witness) -> None:
    boxes = page.evaluate(
        "() => [...document.querySelectorAll('iframe')].map(one => { const b = one.getBoundingClientRect(); "
        "return [b.x, b.y, b.right, b.bottom].map(Math.round) })"
    )
    with Image.open(io.BytesIO(page.screenshot(animations="disabled"))) as seen:
        image = seen.convert("RGB")
    for box in boxes:
        image.paste(GROUND, tuple(box))
    colours = image.getcolors(maxcolors=1 << 24) or []
    for count, colour in colours:
        if colour != GROUND:
            witness.see("pixels outside", f"{count} of {colour}")
    over = page.evaluate(
        "() => { let over = 0; for (let y = 5; y < innerHeight; y += 190) for (let x = 5; x < innerWidth; x += 50) "
        "if (!['BODY', 'HTML'].includes(document.elementFromPoint(x, y)?.tagName)) over++; return over }"
    )
    if over:
        witness.see("overlay", str(over))
    if not page.url.startswith(settings.WEB_ORIGIN):
        witness.see("page taken", page.url)


def test_a_sample_of_attacks_does_nothing(house: House, context: BrowserContext, stage: Page) -> None:
    witness = Witness(context, stage)
    attack(stage, witness, house, [*generated()][::7] + published()[::7])
    assert witness.told == []


@pytest.mark.slow
def test_no_attack_does_anything_however_it_is_shown(
    house: House, context: BrowserContext, stage: Page
) -> None:
    witness = Witness(context, stage)
    for showing in SHOWINGS:
        attack(stage, witness, house, [*generated(), *published()], showing)
    assert witness.told == []


def test_the_witness_would_see_it(house: House, context: BrowserContext, stage: Page) -> None:
    """The run can fail: the same page with a frame that is not sanitised, and more than a frame on it."""
    witness = Witness(context, stage)
    stage.route(
        f"{settings.WEB_ORIGIN}/frames", lambda route: route.fulfill(body=BARE, content_type="text/html")
    )
    stage.goto("/frames", wait_until="load")
    for frame in stage.frames[1:]:
        _fire(frame, witness)
    _look_around(stage, witness)
    assert witness.counts.keys() >= {"script ran", "request left", "left over", "pixels outside"}
