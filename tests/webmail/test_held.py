"""The pages of held mail and of trusted senders, and marking spam, as a browser asks for them."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.mailboxes.models import Folder, MailboxEntry, Message
from apps.tickets.holding import discard
from apps.tickets.models import HeldMessage, HeldState, Opinion, SpamMark, TrustedSender
from tests.arrivals import arrive
from tests.inbound.arriving import take
from tests.mail import raw_mail
from tests.people import House
from tests.screening.files import EICAR, GTUBE
from tests.webmail.conftest import browser_of

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script> http://evil.example/"


def held_mail(house: House, *recipients: str, text: str = "", **mail: Any) -> HeldMessage:
    row = take(house, raw_mail(text=f"{text or GTUBE.decode()}\r\n", **mail), *recipients)
    assert row.held is not None
    return row.held


def prove(held: HeldMessage) -> None:
    HeldMessage.objects.filter(pk=held.pk).update(
        authentication={
            "dmarc": {
                "result": "pass",
                "reason": "SPF and DKIM are of customer.example.",
                "proven_by": "signature",
            }
        }
    )


def test_held_mail_is_listed_with_its_reason_and_counted_in_the_rail(house: House, alice: Client) -> None:
    assert "Nothing is held" in alice.get("/held/").content.decode()
    held_mail(house, subject="Cheap watches")
    page = alice.get("/held/").content.decode()
    assert "Cheap watches" in page
    assert "GTUBE" in page
    assert "Elena Marsh" in page
    assert 'data-live="held">1<' in page
    assert 'data-live="held">1<' in alice.get("/rail/").content.decode()


def test_a_strangers_words_are_plain_text(house: House, alice: Client) -> None:
    held = held_mail(
        house, text=f"{HOSTILE}\r\n{GTUBE.decode()}", subject=HOSTILE, sender=f'"{HOSTILE}" <a@b.example>'
    )
    for path in ("/held/", f"/held/{held.pk}/"):
        page = alice.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page
        assert 'href="http://evil' not in page


def test_release_says_where_it_went_and_the_page_leads_there(house: House, alice: Client) -> None:
    held = held_mail(house)
    answer = alice.post(f"/held/{held.pk}/release/")
    assert answer.json() == {"sentence": "Released to House Support"}
    message = Message.objects.get()
    page = alice.get(f"/held/{held.pk}/").content.decode()
    assert "Released by Alice House" in page
    assert f"/m/{house.support.pk}/inbox/{message.thread_id}/" in page
    assert alice.post(f"/held/{held.pk}/discard/").status_code == 409


def test_trusting_is_offered_only_where_the_mail_proves_its_sender(house: House, alice: Client) -> None:
    held = held_mail(house)
    assert 'name="trust"' not in alice.get("/held/").content.decode()
    assert "Nothing proves who sent it" in alice.get(f"/held/{held.pk}/").content.decode()
    prove(held)
    assert 'name="trust"' in alice.get("/held/").content.decode()
    page = alice.get(f"/held/{held.pk}/").content.decode()
    assert "SPF and DKIM are of customer.example." in page
    answer = alice.post(f"/held/{held.pk}/release/", {"trust": "1"}).json()
    assert answer["sentence"].endswith("elena@customer.example is trusted from now on.")
    assert TrustedSender.objects.get().sender == "elena@customer.example"


def test_discarding_can_be_undone(house: House, alice: Client) -> None:
    held = held_mail(house)
    answer = alice.post(f"/held/{held.pk}/discard/").json()
    assert "Nothing is held" in alice.get("/held/").content.decode()
    assert "Restore" in alice.get("/held/?state=discarded").content.decode()
    assert alice.post(answer["undo_url"]).status_code == 200
    held.refresh_from_db()
    assert held.state == HeldState.WAITING


def test_several_are_decided_at_once_and_that_is_undone_at_once(house: House, alice: Client) -> None:
    rows = [held_mail(house, message_id=f"{n}@x.example") for n in range(3)]
    virus = held_mail(house, message_id="v@x.example", text=EICAR.decode())
    asked = {"wish": "discard", "held": [str(row.pk) for row in rows]}
    answer = alice.post("/held/several/", asked).json()
    assert answer["sentence"] == "3 mails discarded"
    assert alice.post(answer["undo_url"]).json() == {"sentence": "3 mails are back"}
    both = {"wish": "release", "held": [str(rows[0].pk), str(virus.pk)]}
    assert alice.post("/held/several/", both).json() == {"sentence": "1 mail released; 1 stayed as it was."}
    assert alice.post("/held/several/", {"wish": "burn"}).status_code == 422
    assert alice.post("/held/several/", {"wish": "release", "held": "none"}).status_code == 404


def test_only_an_admin_is_offered_to_let_a_virus_in(house: House, alice: Client) -> None:
    held = held_mail(house, text=EICAR.decode())
    assert "/release/" not in alice.get("/held/").content.decode()
    assert "Only an admin can let a virus in" in alice.get(f"/held/{held.pk}/").content.decode()
    assert alice.post(f"/held/{held.pk}/release/").status_code == 403
    admin = browser_of(house.admin)
    assert "Release it all the same" in admin.get("/held/").content.decode()
    assert admin.post(f"/held/{held.pk}/release/").status_code == 200


def test_nobody_outside_its_mailboxes_sees_or_decides(house: House, stranger: House) -> None:
    held = held_mail(house, "alice@house.test", subject="For Alice")
    for person in (house.bob, stranger.admin):
        browser = browser_of(person)
        assert "For Alice" not in browser.get("/held/").content.decode()
        assert browser.get(f"/held/{held.pk}/").status_code == 404
        for verb in ("release", "discard", "restore"):
            assert browser.post(f"/held/{held.pk}/{verb}/").status_code == 404
        browser.post("/held/several/", {"wish": "discard", "held": [str(held.pk)]})
    held.refresh_from_db()
    assert held.state == HeldState.WAITING


def test_a_long_list_is_turned_page_by_page(house: House, alice: Client) -> None:
    first = held_mail(house)
    for n in range(60):
        row = HeldMessage.objects.create(
            organisation=house.organisation,
            raw=first.raw,
            subject=f"Number {n}",
            cause="spam",
            reason="It is spam.",
            received_at=timezone.now(),
            held_at=timezone.now(),
        )
        row.mailboxes.add(house.support)
    page = alice.get("/held/").content.decode()
    assert "Number 59" in page
    assert "Number 3<" not in page
    after = page.partition("?after=")[2].partition('"')[0]
    rest = alice.get(f"/held/?after={after}").content.decode()
    assert "Number 3<" in rest
    assert "Number 59" not in rest
    assert alice.get("/held/?state=released").status_code == 404
    assert alice.get("/held/?after=nowhere").status_code == 404


def test_a_sender_is_trusted_and_trusted_no_more(house: House, alice: Client) -> None:
    assert "Nobody yet" in alice.get("/trusted-senders/").content.decode()
    page = alice.post("/trusted-senders/", {"sender": "gmail.com"}).content.decode()
    assert "Trust single addresses instead" in page
    assert 'value="gmail.com"' in page
    assert alice.post("/trusted-senders/", {"sender": "partner.example"}).status_code == 302
    row = TrustedSender.objects.get()
    assert "partner.example" in alice.get("/trusted-senders/").content.decode()
    gone = alice.post(f"/trusted-senders/{row.pk}/remove/", headers={"HX-Request-Type": "partial"})
    assert "Nobody yet" in gone.content.decode()


def move(browser: Client, house: House, thread: object, **how: str) -> Any:
    answer = browser.post(f"/m/{house.support.pk}/t/{thread}/move/", how)
    return json.loads(answer.content)


def test_moving_to_spam_marks_and_moving_back_takes_the_mark_back(house: House, alice: Client) -> None:
    message = arrive(house.support)
    assert move(alice, house, message.thread_id, folder="spam") == {"changed": 1}
    assert SpamMark.objects.get().opinion == Opinion.SPAM
    page = alice.get(f"/m/{house.support.pk}/spam/{message.thread_id}/").content.decode()
    assert "Not spam" in page
    move(alice, house, message.thread_id, folder="inbox")
    assert not SpamMark.objects.exclude(opinion=Opinion.NONE).exists()


def test_not_spam_is_remembered_as_good_mail(house: House, alice: Client) -> None:
    message = arrive(house.support)
    move(alice, house, message.thread_id, folder="spam")
    move(alice, house, message.thread_id, folder="inbox", not_spam="1")
    mark = SpamMark.objects.get()
    assert (mark.opinion, mark.marked_by, mark.by_person) == (Opinion.HAM, house.alice, True)
    assert MailboxEntry.objects.get().folder == Folder.INBOX


def test_spam_in_the_trash_is_spam_still(house: House, alice: Client) -> None:
    message = arrive(house.support)
    move(alice, house, message.thread_id, folder="spam")
    move(alice, house, message.thread_id, folder="trash")
    assert SpamMark.objects.get().opinion == Opinion.SPAM


def test_discarded_mail_says_until_when_it_can_be_restored(house: House, alice: Client) -> None:
    held = held_mail(house)
    discard(house.as_bob, held, now=timezone.now())
    page = alice.get(f"/held/{held.pk}/").content.decode()
    assert "Discarded by Bob House" in page
    assert "It is erased" in page
