"""The page of app passwords: made and shown once, listed with their last use, revoked."""

import re

from django.test import Client
from django.utils import timezone

from apps.mailboxes.app_passwords import create_app_password, principal_of_app_password
from apps.mailboxes.models import AppPassword
from apps.outbound.submission.submit import GivenEnvelope, submit_raw
from tests.mail import raw_mail
from tests.people import House
from tests.webmail.conftest import browser_of

PAGE = "/app-passwords/"
WORDS = re.compile(r"(?:[a-z2-9]{4}-){4}[a-z2-9]{4}")


def test_a_password_is_shown_once_with_what_the_program_asks_for(house: House, alice: Client) -> None:
    assert "never used" not in alice.get(PAGE).content.decode()
    answer = alice.post(PAGE, {"mailbox": str(house.support.pk), "name": "Thunderbird"})
    page = answer.content.decode()
    words = WORDS.search(page)
    assert words is not None
    assert principal_of_app_password(words[0], "192.0.2.7", timezone.now()) is not None
    assert "no-store" in answer["Cache-Control"]
    again = alice.get(PAGE).content.decode()
    assert not WORDS.search(again)
    assert "Thunderbird" in again
    assert "from 192.0.2.7" in again


def test_what_is_missing_is_said_beside_its_field(house: House, alice: Client) -> None:
    page = alice.post(PAGE, {"mailbox": str(house.support.pk), "name": " "}).content.decode()
    assert "Name the program or device" in page
    assert not AppPassword.objects.exists()


def test_nobody_makes_one_for_a_mailbox_they_do_not_see(house: House, stranger: House, alice: Client) -> None:
    for mailbox in (house.bobs.pk, stranger.support.pk, "nonsense", ""):
        assert alice.post(PAGE, {"mailbox": str(mailbox), "name": "x"}).status_code == 404


def test_the_story_of_a_mail_names_the_device_that_sent_it(house: House, alice: Client) -> None:
    _row, words = create_app_password(house.as_key, house.support, name="Scanner", now=timezone.now())
    principal = principal_of_app_password(words, "", timezone.now())
    assert principal is not None
    raw = raw_mail(sender="support@house.test", to="elena@customer.example")
    envelope = GivenEnvelope("support@house.test", ("elena@customer.example",))
    message = submit_raw(principal, envelope, raw, now=timezone.now()).message
    assert message.author is None
    assert "Scanner" in alice.get(f"/messages/{message.pk}/story/").content.decode()


def test_ones_own_is_revoked_and_others_by_an_admin_alone(house: House, alice: Client) -> None:
    own = create_app_password(house.as_alice, house.support, name="Phone", now=timezone.now())[0]
    bobs = create_app_password(house.as_bob, house.support, name="Desk", now=timezone.now())[0]
    assert "Desk" not in alice.get(PAGE).content.decode()
    assert alice.post(f"{PAGE}{bobs.pk}/revoke/").status_code == 404
    fragment = alice.post(f"{PAGE}{own.pk}/revoke/", headers={"HX-Request-Type": "partial"})
    assert "Phone can send nothing more" in fragment.content.decode()
    admin = browser_of(house.admin)
    assert "Bob House" in admin.get(PAGE).content.decode()
    assert admin.post(f"{PAGE}{bobs.pk}/revoke/").status_code == 302
    assert not AppPassword.objects.filter(revoked_at__isnull=True).exists()
