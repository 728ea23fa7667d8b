"""Conversations that are fetched before they are opened."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.arrivals import arrive
from tests.people import House

pytestmark = pytest.mark.browser


def test_who_turns_to_another_conversation_is_not_thrown_back_when_the_first_one_comes(
    house: House, page: Page, sign_in: Callable[[str], None]
) -> None:
    slow, quick = (
        arrive(house.support, subject=subject, message_id=f"{subject}@x.example")
        for subject in ("Slow", "Quick")
    )
    sign_in("alice@house.test")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/inbox/{slow.thread_id}/", hold)
    page.locator(f"#row-{slow.thread_id} > a").focus()
    while not held:
        page.wait_for_timeout(20)
    page.keyboard.press("Enter")
    expect(page.locator(f"#row-{slow.thread_id} > a")).to_have_attribute("aria-current", "true")
    page.locator(f"#row-{quick.thread_id} > a").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Quick")
    with page.expect_response(f"**/inbox/{slow.thread_id}/"):
        held[0].continue_()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(heading).to_have_text("Quick")
    expect(page.locator("#conversation")).to_have_attribute("data-thread", str(quick.thread_id))
    assert page.url.endswith(f"/inbox/{quick.thread_id}/")
