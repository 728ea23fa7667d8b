"""Everybody can use it: every page keeps to WCAG, works by keyboard alone, reads in order, mirrors, and holds still.

Every state that any browser test photographs is judged by axe, too (`photograph`).
"""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.arrivals import arrive
from tests.browser.access import violations
from tests.people import House

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]

# What reaches beyond either edge of the window, as far as one could see it.
BEYOND_AN_EDGE = """() => [...document.querySelectorAll("body *")]
  .filter(one => one.checkVisibility({visibilityProperty: true}))
  .filter(one => !one.closest(".sr, .scroll-x, .editor-bar, .skip, .btn > .label"))
  .filter(one => { const box = one.getBoundingClientRect(); return box.right > innerWidth + 1 || box.left < -1; })
  .map(one => one.outerHTML.slice(0, 120))"""
MIRROR = "document.documentElement.dir = 'rtl'"
HAS_RING = """() => { const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" || style.boxShadow !== "none"
    || document.activeElement.closest(".reply, .ask, .search") !== null; }"""


def rail_paths(page: Page) -> list[str]:
    found = page.locator("#rail a.nav").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    return sorted({str(path) for path in found})


@pytest.mark.slow
def test_every_page_keeps_to_wcag_and_mirrors(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support)
    sign_in("admin@house.test")
    wrong = []
    paths = rail_paths(page)
    assert len(paths) > 15
    for path in [*paths, "/compose/", "/relays/new/"]:
        page.goto(path)
        wrong += [f"{path}: {one}" for one in violations(page)]
        page.evaluate(MIRROR)
        for width in (360, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            wrong += [f"{path} mirrored at {width}: {one}" for one in page.evaluate(BEYOND_AN_EDGE)]
    assert wrong == []


def test_a_conversation_mirrors(house: House, page: Page, sign_in: SignIn, photograph: Photograph) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.wait_for_selector("#conversation")
    page.evaluate(MIRROR)
    photograph("mirrored")
    for width in (360, 1440, 3440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(BEYOND_AN_EDGE) == []


def test_a_mail_is_read_and_answered_by_keyboard_alone(house: House, page: Page, sign_in: SignIn) -> None:
    """By Tab and Enter, with no shortcut: each stop is seen, has a ring, and none is a trap."""
    arrive(house.support)
    sign_in("alice@house.test")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _stop in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(HAS_RING), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if page.locator(".row > a:focus").count():
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    for _stop in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body")
        if page.get_by_label("Your answer").evaluate("one => one === document.activeElement"):
            break
    page.keyboard.type("It is on its way.")
    for _stop in range(40):  # past the editor's tools
        page.keyboard.press("Tab")
        if page.get_by_role("button", name="Send", exact=True).evaluate(
            "one => one === document.activeElement"
        ):
            break
    page.keyboard.press("Enter")
    sent = page.locator("#messages section.msg").last
    expect(sent).to_contain_text("undo window")
    expect(sent.frame_locator("iframe").locator("body")).to_contain_text("It is on its way.")


def test_a_screen_reader_finds_landmarks_lists_and_names(house: House, page: Page, sign_in: SignIn) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    page.keyboard.press("o")
    page.wait_for_selector("#conversation")
    expect(page.locator("body")).to_match_aria_snapshot(
        """
        - link "Skip to the content"
        - navigation "Mailboxes":
          - link "New mail"
          - heading "Mailboxes" [level=2]
          - link /House Support/
          - list:
            - listitem:
              - link /Inbox/
        - region "Conversations":
          - search:
            - combobox "Search House Support"
          - heading "Inbox" [level=2]
          - list:
            - listitem:
              - link /Elena Marsh.* Invoice 20931 charged twice/
        - main "Conversation":
          - toolbar "Actions":
            - button /Solve/
          - article:
            - heading "Invoice 20931 charged twice" [level=1]
            - region "Message from Elena Marsh"
            - tablist "What to write":
              - tab "Answer" [selected]
              - tab "Note"
            - tabpanel "Answer":
              - textbox "Your answer"
              - button "Send"
        """
    )


def test_nothing_moves_for_who_asked_for_rest(house: House, page: Page, sign_in: SignIn) -> None:
    page.emulate_media(reduced_motion="reduce")
    sign_in("alice@house.test")
    arrive(house.support)
    expect(page.locator(".row")).to_be_visible()
    page.keyboard.press("o")
    page.wait_for_selector("#conversation")
    page.keyboard.press("Shift+U")
    expect(page.locator(".toast")).to_be_visible()
    moving = page.evaluate(
        """() => document.getAnimations().filter(one => one.playState === "running"
            && one.effect.getComputedTiming().duration > 10 && !one.effect.target?.closest(".ring"))
            .map(one => one.animationName ?? one.transitionProperty)"""
    )
    assert moving == []
