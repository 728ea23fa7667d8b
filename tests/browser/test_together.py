"""Two people at one conversation see each other, and what came while one wrote is said before one sends."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.mailboxes.models import Folder, Message
from tests.arrivals import arrive
from tests.people import PASSWORD, House

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def at(house: House, message: Message) -> str:
    return reverse("webmail:conversation", args=[house.support.pk, Folder.INBOX, message.thread_id])


def second_browser(chromium: Browser, web: str) -> Page:
    page = chromium.new_context(base_url=web).new_page()
    page.goto("/")
    page.get_by_label("Address").fill("bob@house.test")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("conversation-list")
    return page


def test_who_is_there_and_who_writes_is_seen_and_goes_with_the_tab(
    *, house: House, page: Page, sign_in: SignIn, photograph: Photograph, chromium: Browser, web: str
) -> None:
    arrive(house.support)
    sign_in("alice@house.test")
    bob = second_browser(chromium, web)
    bob.locator(".row > a").click()
    expect(page.locator(".row .present")).to_have_text("BHBob House is here, too")
    page.locator(".row > a").click()
    told = page.locator("[data-present]")
    expect(told).to_contain_text("Bob House is here, too")
    expect(bob.locator("[data-present]")).to_contain_text("Alice House is here, too")
    photograph("colleague-is-here")
    bob.keyboard.press("r")
    bob.keyboard.type("Dear Elena")
    expect(told).to_contain_text("Bob House is writing an answer")
    photograph("colleague-writes")
    bob.context.close()
    expect(told).to_be_hidden()
    expect(page.locator(".row .present")).to_have_count(0)


def test_what_came_while_one_wrote_is_said_beside_the_answer(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    first = arrive(house.support)
    sign_in("alice@house.test")
    page.locator(".row > a").click()
    page.get_by_label("Your answer").fill("Dear Elena")
    again = arrive(
        house.support,
        subject=f"Re: {first.subject}",
        message_id="again@customer.example",
        headers={"In-Reply-To": f"<{first.rfc_message_id}>", "References": f"<{first.rfc_message_id}>"},
    )
    assert again.thread_id == first.thread_id
    expect(page.get_by_text("While you wrote, something came")).to_be_visible()
    photograph("newer-while-writing")
    expect(page.get_by_label("Your answer")).to_have_text("Dear Elena")
    assert Message.objects.count() == 2


def test_the_title_counts_what_is_unread(house: House, page: Page, sign_in: SignIn) -> None:
    sign_in("alice@house.test")
    expect(page).to_have_title("Inbox · House Support")
    arrive(house.support)
    expect(page).to_have_title("(1) Inbox · House Support")
    arrive(house.alices, to="alice@house.test", message_id="hers@customer.example")
    expect(page).to_have_title("(2) Inbox · House Support")
    page.locator(".row > a").click()
    expect(page).to_have_title("(1) Invoice 20931 charged twice")


def test_notifications_are_chosen_and_their_worker_is_let_in_by_the_policy(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    sign_in("alice@house.test")
    page.goto("/notifications/")
    expect(page.locator("#this-browser [data-state]:visible")).to_have_count(1)
    page.get_by_label("From", exact=True).fill("22:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Quiet hours need a beginning and an end.")).to_be_visible()
    photograph("notifications-wrong")
    page.get_by_label("From", exact=True).fill("22:00")
    page.get_by_label("Until").fill("07:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. It holds from now on.")).to_be_visible()
    expect(page.get_by_label("Until")).to_have_value("07:00")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    photograph("notifications")
    state = page.evaluate(
        "navigator.serviceWorker.register('/service-worker.js', {scope: '/'})"
        ".then(() => navigator.serviceWorker.ready).then(one => one.active.scriptURL)"
    )
    assert state == f"{page.url.split('/notifications')[0]}/service-worker.js"


# What a press on a notification does, in a browser without a screen: no window may be opened or brought forward there.
PRESS = """async (url) => {
  const done = [];
  self.clients.openWindow = async (wanted) => { done.push("opened"); };
  WindowClient.prototype.focus = async function () { done.push("focused"); return this; };
  await self.registration.showNotification("New mail", { data: { url } });
  const [notification] = await self.registration.getNotifications();
  const pressed = new NotificationEvent("notificationclick", { notification });
  const waits = [];
  pressed.waitUntil = (work) => waits.push(work);
  self.dispatchEvent(pressed);
  await Promise.all(waits);
  return [done, (await self.registration.getNotifications()).length];
}"""


def test_a_notification_leads_no_window_away_from_what_is_written_in_it(
    house: House, page: Page, sign_in: SignIn, context: BrowserContext
) -> None:
    read, other = (
        arrive(house.support, subject=name, message_id=f"{name}@shop.example") for name in ("Lamp", "Chair")
    )
    context.grant_permissions(["notifications"], origin=settings.WEB_ORIGIN)
    sign_in("alice@house.test")
    page.goto(at(house, read))
    page.evaluate("navigator.serviceWorker.register('/service-worker.js', {scope: '/'})")
    worker = (
        context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
    )
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")

    assert worker.evaluate(PRESS, at(house, read)) == [["focused"], 0]
    page.get_by_label("Your answer").click()
    page.keyboard.type("Dear Elena, I am just ")
    assert worker.evaluate(PRESS, at(house, other)) == [["opened"], 0]
    assert page.url.endswith(at(house, read))
    page.keyboard.type("writing this.")
    expect(page.get_by_label("Your answer")).to_contain_text("I am just writing this.")

    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Delete")
    assert worker.evaluate(PRESS, at(house, other)) == [["focused"], 0]
    page.wait_for_url(f"**{at(house, other)}")
