"""In the right ticket: newcomers, changed subjects, moves and their undoing, the customer, a long conversation."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.mailboxes.models import Mailbox, MailboxEntry, Message
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.models import Ticket
from apps.tickets.selectors import messages_of
from tests.arrivals import arrive
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.browser

SignIn = Callable[[str], None]
Photograph = Callable[..., None]


def ticket(number: int) -> Ticket:
    return Ticket.objects.select_related("mailbox", "thread").get(number=number)


def answered(house: House) -> Message:
    """#1, answered by us."""
    arrive(house.support)
    reply = Reply(text="Dear Elena,\nthe second charge is taken back.")
    return reply_to_ticket(house.as_alice, ticket(1), reply, idempotency_key=None, now=timezone.now()).message


def open_first(page: Page, sign_in: SignIn) -> None:
    sign_in("alice@house.test")
    page.locator(".row > a").first.click()
    page.wait_for_selector("#conversation")


def test_a_new_participant_is_seen_before_anybody_answers_them(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    answer = answered(house)
    arrive(
        house.support,
        sender="Petra Lang <petra@contoso.example>",
        subject="Re: Invoice 20931 charged twice",
        message_id="petra@contoso.example",
        text="Elena asked me to have a look: which account was it?\r\n",
        headers={"In-Reply-To": f"<{answer.rfc_message_id}>"},
    )
    open_first(page, sign_in)
    newcomer = page.get_by_label("Message from Petra Lang")
    expect(newcomer.get_by_text("New participant")).to_be_visible()
    expect(page.get_by_text("petra@contoso.example is new to this conversation")).to_be_visible()
    page.keyboard.press("i")
    panel = page.locator(".customer-panel")
    expect(panel.get_by_text("Petra Lang")).to_be_visible()
    expect(panel.get_by_text("New participant")).to_be_visible()
    photograph("new-participant")


def test_a_changed_subject_is_split_off_with_one_click_and_back_with_another(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    answer = answered(house)
    arrive(
        house.support,
        subject="The pumps are down",
        message_id="pumps@customer.example",
        text="Another thing: since this morning nothing moves.\r\n",
        headers={"In-Reply-To": f"<{answer.rfc_message_id}>"},
    )
    open_first(page, sign_in)
    expect(page.get_by_text("The subject changed to “The pumps are down”.")).to_be_visible()
    photograph("subject-changed")
    page.locator(".offer").get_by_role("button", name="Make it a ticket of its own").click()
    expect(page.locator("#toasts")).to_contain_text("It is ticket #2 now")
    expect(page.get_by_text("gave a message a ticket of its own: #2.")).to_be_visible()
    expect(page.get_by_text("The subject changed")).to_have_count(0)
    photograph("split")
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The subject changed to “The pumps are down”.")).to_be_visible()
    assert len(messages_of(house.as_alice, ticket(1))) == 3


def test_a_stranger_who_quotes_a_ticket_is_joined_with_one_click(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support)
    arrive(
        house.support,
        sender="Petra Lang <petra@contoso.example>",
        subject="About the invoice",
        message_id="petra@contoso.example",
        headers={"References": "<first@customer.example>"},
    )
    open_first(page, sign_in)
    expect(page.get_by_text("Perhaps this belongs to #1")).to_be_visible()
    photograph("perhaps-belongs")
    page.get_by_role("button", name="Move to #1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice 20931 charged twice")
    expect(page.get_by_text("merged #2 into this ticket.")).to_be_visible()
    assert ticket(2).merged_into == ticket(1)


def test_a_message_is_moved_by_the_menu_and_taken_back_from_the_history(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    arrive(house.support, subject="Pumps", message_id="b@x.example")
    arrive(house.support, message_id="a@x.example")
    arrive(
        house.support,
        message_id="aa@x.example",
        subject="Re: Invoice 20931 charged twice",
        headers={"In-Reply-To": "<a@x.example>"},
    )
    open_first(page, sign_in)
    message = page.locator("section.msg").last
    message.hover()
    message.get_by_title("About this message").click()
    expect(message.get_by_text("its sender takes part in that conversation")).to_be_visible()
    photograph("message-menu")
    message.get_by_role("button", name="Move to another ticket…").click()
    dialog = page.locator("#mover")
    expect(dialog.get_by_role("button", name="#1 Pumps")).to_be_visible()
    photograph("mover")
    dialog.get_by_role("searchbox").fill("nothing like it")
    expect(
        dialog.get_by_text("None. Mail can go to another mailbox’s ticket only by being forwarded")
    ).to_be_visible()
    dialog.get_by_role("searchbox").fill("#1")
    dialog.get_by_role("button", name="#1 Pumps").click()
    expect(page.locator("#toasts")).to_contain_text("Moved to #1")
    expect(page.get_by_text("House moved a message to #1.")).to_be_visible()
    page.get_by_role("link", name="Open #1").click()
    expect(page.get_by_text("House moved a message here from #2.")).to_be_visible()
    photograph("moved")
    page.locator(".notice").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("moved a message here")).to_have_count(0)
    assert len(messages_of(house.as_alice, ticket(2))) == 2


def test_a_ticket_is_merged_by_its_key_and_its_old_address_leads_on(
    house: House, page: Page, sign_in: SignIn
) -> None:
    arrive(house.support, subject="Pumps", message_id="b@x.example")
    arrive(house.support, message_id="a@x.example")
    open_first(page, sign_in)
    old = page.url
    page.keyboard.press("m")
    page.locator("#mover").get_by_role("button", name="#1 Pumps").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pumps")
    expect(page.locator("#toasts")).to_contain_text("#2 is part of #1 now")
    wait_until(lambda: page.url != old)
    page.goto(old)
    expect(page.get_by_role("heading", level=1)).to_have_text("Pumps")


def test_the_customers_other_tickets_are_one_click_away(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    for n, subject in enumerate(
        ["A new address for the invoices", "Where is my parcel?", "The pumps are down"]
    ):
        arrive(
            house.support,
            subject=subject,
            message_id=f"{n}@x.example",
            sender="Elena Marsh <ELENA@customer.example>",
        )
    Ticket.objects.filter(number=1).update(state="solved", solved_at=timezone.now())
    arrive(house.support)
    open_first(page, sign_in)
    page.get_by_text("3 other tickets").click()
    expect(page.locator(".customer-panel .tickets a")).to_have_count(3)
    photograph("customer")
    page.get_by_role("link", name="#2 Where is my parcel?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Where is my parcel?")


def test_a_long_conversation_shows_its_ends_and_the_rest_when_asked(
    house: House, page: Page, sign_in: SignIn, photograph: Photograph
) -> None:
    long_conversation(house.support, 300)
    open_first(page, sign_in)
    expect(page.locator("section.msg, details.msg:not(.middle)")).to_have_count(12)
    photograph("long-conversation")
    page.get_by_text("Show 288 more messages").scroll_into_view_if_needed()
    photograph("long-conversation-folded")
    page.get_by_text("Show 288 more messages").click()
    expect(page.locator("section.msg, details.msg:not(.middle)")).to_have_count(52)
    page.get_by_text("Show 248 more messages").click()
    expect(page.locator("section.msg, details.msg:not(.middle)")).to_have_count(92)
    in_the_middle = page.locator("details.msg", has_text="number 230").last
    in_the_middle.locator("summary").first.click()
    expect(in_the_middle.locator(".text").get_by_text("This is number 230.")).to_be_visible()
    arrive(house.support, message_id="new@x.example", headers={"In-Reply-To": "<n0@x.example>"})
    expect(page.locator("section.msg")).to_have_count(4)
    expect(in_the_middle.locator(".text").get_by_text("This is number 230.")).to_be_visible()


def long_conversation(mailbox: Mailbox, count: int) -> None:
    start = timezone.now() - timedelta(days=count)
    for n in range(count):
        arrive(
            mailbox,
            subject="Invoice 20931 charged twice" if not n else "Re: Invoice 20931 charged twice",
            message_id=f"n{n}@x.example",
            text=f"This is number {n}.\r\n",
            headers={"In-Reply-To": "<n0@x.example>"} if n else {},
            at=start + timedelta(days=n),
        )
    MailboxEntry.objects.update(is_read=True)
