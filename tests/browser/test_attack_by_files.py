"""The attack run, where the vectors are words: in a mail's head, in its files' names, and in the files one looks into.

All of it stands in the pages themselves, where scripts run, and not in a frame. See test_attack.py for the rest.
"""

import sys
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import formataddr

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.arrivals import arrive
from tests.browser.attacks import events, generated, published
from tests.browser.test_attack import Witness
from tests.people import House
from tests.webmail.test_previews import zipped

pytestmark = pytest.mark.browser

AT_ONCE = 40
LOOKED_INTO = ("words.txt", "table.csv", "names.zip", "page.html")
GROWN = """() => [...document.querySelectorAll('body, body *')].filter(element =>
  [...element.attributes].some(one => /^on/i.test(one.name)
    || (/^(src|srcset|background|style|data|poster|action|formaction)$/i.test(one.name)
      && /far\\.example/.test(one.value)))
  || /^\\s*(javascript|data|vbscript):/i.test(element.getAttribute('href') ?? '')
  || /^(iframe|frame|object|embed|math|base|video|audio)$/i.test(element.tagName)).map(one => one.outerHTML)"""
FIRE = """(root, events) => {
  for (const element of root.querySelectorAll('*')) {
    for (const name of events) element.dispatchEvent(new Event(name, {bubbles: false, cancelable: true}));
  }
}"""


def hostile(vectors: Sequence[str]) -> bytes:
    """A mail that says the vectors wherever it can say something."""
    mail = EmailMessage()
    mail["From"] = formataddr((vectors[0], "evil@far.example"))
    mail["To"] = "support@house.test"
    mail["Subject"] = vectors[1]
    mail.set_content("\n".join(vectors))
    lines = "\n".join(vectors)
    table = "\n".join('"' + one.replace('"', '""') + '",x' for one in vectors)
    mail.add_attachment(lines.encode(), maintype="text", subtype="plain", filename="words.txt")
    mail.add_attachment(table.encode(), maintype="text", subtype="csv", filename="table.csv")
    names = zipped(dict.fromkeys(vectors, b"x"))
    mail.add_attachment(names, maintype="application", subtype="zip", filename="names.zip")
    mail.add_attachment(lines.encode(), maintype="text", subtype="html", filename="page.html")
    for one in vectors:
        mail.add_attachment(b"x", maintype="text", subtype="plain", filename=one)
    return mail.as_bytes()


@pytest.mark.slow
def test_what_is_only_words_stays_words(
    house: House, context: BrowserContext, page: Page, sign_in: Callable[[str], None]
) -> None:
    vectors = [" ".join(one.split()) for one in (*generated(), *published())]
    sign_in("alice@house.test")
    witness = Witness(context, page)
    looked = 0
    for at in range(0, len(vectors), AT_ONCE):
        message = arrive(house.support, hostile(vectors[at : at + AT_ONCE]))
        page.goto(f"/m/{house.support.pk}/inbox/{message.thread_id}/")
        for name in LOOKED_INTO:
            page.locator("a.file[data-preview]", has_text=name).click()
            body = page.locator("#preview .preview-body")
            expect(page.locator("#preview-title")).to_have_text(name)
            body.evaluate(FIRE, events())
            for one in page.evaluate(GROWN):
                witness.see("left over", one)
            page.keyboard.press("Escape")
            looked += 1
    came_of_it = dict(witness.counts) or "nothing happened"
    sys.stdout.write(f"\nas words: {len(vectors)} vectors, {looked} files looked into; {came_of_it}\n")
    assert witness.told == []
