"""Every page, walked: who is not signed in must sign in, and the outsider finds nothing."""

import uuid
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.mailboxes.aliases import add_alias
from apps.mailboxes.app_passwords import create_app_password
from apps.mailboxes.labels import create_label
from apps.mailboxes.models import Domain, Message
from apps.mailboxes.saved_views import save_view
from apps.outbound.bounces.suppressions import add_suppression
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import Delivery, KeyAlgorithm, RefusedSubmission, Relay
from apps.outbound.signing.rotation import create_keys
from apps.tickets.bulk import Wish, do_to_many
from apps.tickets.models import Deed, HeldMessage, Ticket, TicketMove
from apps.tickets.moving import split_message
from apps.tickets.trust import trust_sender
from apps.webmail import urls
from apps.writing.drafts import Typed, save_draft
from apps.writing.files import append_piece, begin_file
from apps.writing.phrases import keep_saved_reply
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House
from tests.webmail.conftest import browser_of
from tests.writing.documents import document

# Pages about the person who asks; the outsider has their own.
OF_ONESELF = {
    "home",
    "rail",
    "compose",
    "outbox",
    "errors",
    "queue",
    "hurry",
    "stop",
    "domains",
    "mailbox-settings",
    "app-passwords",
    "suppressions",
    "relays",
    "add-relay",
    "held",
    "trusted",
    "erasures",
    "drafts",
    "phrases",
    "labels",
    "notifications",
    "keys",
    "places",
}
# An admin's page about what the admin asked for. Others are told that it is one.
FOR_ADMINS_ONLY = {"erasures"}
# These are an admin's; to an agent of the same house they do not exist.
OF_ADMINS = {
    "domains",
    "add-domain",
    "domain",
    "check-domain",
    "remove-domain",
    "rotate-keys",
    "change-key",
    "catch-all",
}
# Takes something new, or ids in its body (`test_held.py`); its address has nothing of somebody else's to find.
OF_NOTHING = {
    "add-domain",
    "several-held",
    "change-receiving-policy",
    "add-label",
    "add-saved-reply",
    "subscribe",
    "unsubscribe",
    "switch-keys",
    "session",
}
# Nobody finds what a short conversation has not (`test_folding.py`).
OF_LONG_CONVERSATIONS = {"folded"}
FOR_EVERYBODY = {"sign-in", "sign-out", "mta-sts", "service-worker"}
OF_SENT_MAIL = {"cancel", "reschedule", "story"}
POSTED = {"read", "move", "answer", "change-ticket", "note", "answer-ticket", "cancel", "resubmit",
          "discard", "resolve", "hurry", "stop", "cancel-recipient", "reschedule", "readdress", "restore",
          "rewrite", "send-unsuppressed", "retry-recipient",
          "discard-refused", "restore-refused", "add-domain", "check-domain", "remove-domain", "rotate-keys",
          "change-key", "change-acknowledgement", "unsuppress", "test-relay",
          "pause-relay", "resume-relay", "remove-relay", "revoke-app-password",
          "several-held", "release", "discard-held", "restore-held", "distrust",
          "move-message", "split-message", "undo-move", "catch-all",
          "add-alias", "remove-alias", "change-answers", "change-receiving-policy",
          "handle", "undo-change", "save-view", "remove-view", "add-label",
          "change-label", "delete-label", "change-view",
          "look", "answer-invitation", "leave-list", "discard-draft", "restore-draft", "add-draft-file",
          "change-signature", "add-saved-reply", "change-saved-reply", "remove-saved-reply",
          "subscribe", "unsubscribe", "switch-keys", "session"}  # fmt: skip


# Their bodies name what they are about.
NAMING = {"move-message", "split-message"}


def named_patterns() -> Iterator[URLPattern]:
    """Every page but the sign-in: a new one is walked without being named here."""
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name not in FOR_EVERYBODY:
            yield pattern


def things_of(house: House) -> dict[str, object]:
    """A value for every argument of every URL, all of this house."""
    message = arrive(house.support)
    delivery = send(house.as_key, "elena@customer.example").deliveries[0]
    assert isinstance(message, Message)
    domain = Domain.objects.get(name=house.domain)
    move = move_in(house)
    (key,) = create_keys(domain, timezone.now(), algorithms=[KeyAlgorithm.ED25519])
    return {
        "mailbox_id": house.support.pk,
        "folder": "inbox",
        "thread_id": message.thread_id,
        "message_id": message.pk,
        "ticket_id": Ticket.objects.get(mailbox=house.support, thread=message.thread_id).pk,
        "delivery_id": delivery.pk,
        "sent_id": delivery.message_id,
        "refused_id": refused_by(house).pk,
        "domain_id": domain.pk,
        "key_id": key.pk,
        "suppression_id": add_suppression(house.as_key, "gone@customer.example", now=timezone.now()).pk,
        "app_password_id": create_app_password(
            house.as_alice, house.support, name="Laptop", now=timezone.now()
        )[0].pk,
        "relay_id": Relay.objects.create(
            organisation=house.organisation, name="Relay of house.test", host="127.0.0.1", port=9
        ).pk,
        "held_id": held_by(house).pk,
        "move_id": move.pk,
        "into_id": move.source_id,
        "alias_id": add_alias(house.as_key, house.support, "sales@house.test").pk,
        "label_id": create_label(house.as_alice, "Label of house.test").pk,
        "view_id": save_view(
            house.as_alice, house.support, name="A view", query="house.test", shared=True, now=timezone.now()
        ).pk,
        "change_id": do_to_many(
            house.as_alice, house.support, [message.thread_id], Wish(Deed.STAR), now=timezone.now()
        ).pk,
        **written_by(house),
        "with_file_id": arrive(house.support, raw=with_file()).pk,
        "n": 1,
        "trusted_id": trust_sender(house.as_alice, "customer.example", now=timezone.now()).pk,
    }


def written_by(house: House) -> dict[str, object]:
    """A draft with a file, and a saved reply, of Alice's."""
    now = timezone.now()
    typed = Typed({"subject": "house.test"}, document=document("To house.test"))
    draft = save_draft(
        house.as_alice, uuid.uuid4(), typed, mailbox=house.support, thread_id=None, now=now
    ).draft
    file = begin_file(
        draft, uuid.uuid4(), filename="a.txt", content_type="text/plain", size_bytes=4, content_id="", now=now
    )
    append_piece(file, 0, b"text")
    reply = keep_saved_reply(
        house.as_alice, name="A reply", document=document("house.test"), mailbox=None, row=None, now=now
    )
    return {"draft_id": draft.pk, "file_id": file.pk, "reply_id": reply.pk}


def with_file() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Message-ID"] = (
        "elena@customer.example",
        "support@house.test",
        "<f@x.example>",
    )
    mail.set_content("With a file.")
    mail.add_attachment("a list", filename="list.txt")
    return mail.as_bytes(policy=SMTP)


def held_by(house: House) -> HeldMessage:
    held = HeldMessage.objects.create(
        organisation=house.organisation,
        raw=Message.objects.filter(organisation=house.organisation)[0].raw,
        cause="spam",
        reason="It came to house.test.",
        received_at=timezone.now(),
        held_at=timezone.now(),
    )
    held.mailboxes.add(house.support)
    return held


def move_in(house: House) -> TicketMove:
    """Made in a conversation of its own."""
    first = arrive(house.support, message_id="first-of-two@customer.example")
    second = arrive(
        house.support,
        message_id="second-of-two@customer.example",
        headers={"In-Reply-To": "<first-of-two@customer.example>"},
    )
    ticket = Ticket.objects.get(mailbox=house.support, thread=first.thread_id)
    return split_message(house.as_alice, ticket, second.pk, now=timezone.now())


def refused_by(house: House) -> RefusedSubmission:
    with pytest.raises(SubmissionInvalid):
        send(house.as_key, "nonsense")
    return RefusedSubmission.objects.get()


def address_of(pattern: URLPattern, things: Mapping[str, object]) -> str:
    if pattern.name in OF_SENT_MAIL:
        things = {**things, "message_id": things["sent_id"]}
    if pattern.name == "preview":
        things = {**things, "message_id": things["with_file_id"]}
    wanted = pattern.pattern.converters
    return reverse(f"webmail:{pattern.name}", kwargs={name: things[name] for name in wanted})


def ask(client: Client, pattern: URLPattern, address: str, things: Mapping[str, object] | None = None) -> int:
    """`things`: what a POST may name in its body."""
    if pattern.name not in POSTED:
        return client.get(address).status_code
    named = things or {}
    body = {"message": named.get("message_id", ""), "into": named.get("into_id", "")}
    return client.post(address, body if pattern.name in NAMING else {}).status_code


@pytest.mark.parametrize("pattern", list(named_patterns()), ids=lambda pattern: pattern.name)
def test_the_outsider_finds_nothing(pattern: URLPattern, house: House, stranger: House) -> None:
    things = things_of(house)
    address = address_of(pattern, things)
    for_admins = pattern.name in OF_ADMINS | FOR_ADMINS_ONLY
    outsider = browser_of(stranger.admin if for_admins else stranger.alice)
    if pattern.name in OF_ONESELF:
        answer = outsider.post(address) if pattern.name in POSTED else outsider.get(address, follow=True)
        assert answer.status_code == 200
        assert b"house.test" not in answer.content
        return
    insider = browser_of(house.admin if for_admins else house.alice)
    if pattern.name not in OF_NOTHING:
        assert ask(outsider, pattern, address, things) == 404
    if pattern.name not in OF_LONG_CONVERSATIONS:
        assert ask(insider, pattern, address, things) != 404, "a test that asks for nothing proves nothing"


def test_what_is_an_admins_does_not_exist_for_an_agent(house: House, alice: Client) -> None:
    things = things_of(house)
    for pattern in named_patterns():
        if pattern.name in OF_ADMINS:
            assert ask(alice, pattern, address_of(pattern, things)) == 404, pattern.name


@pytest.mark.parametrize("pattern", list(named_patterns()), ids=lambda pattern: pattern.name)
def test_nobody_gets_anywhere_without_signing_in(pattern: URLPattern, house: House, nobody: Client) -> None:
    address = address_of(pattern, things_of(house))
    assert ask(nobody, pattern, address) in (302, 401)
    if pattern.name not in POSTED:
        assert nobody.get(address, headers={"HX-Request-Type": "partial"}).status_code == 401


def test_what_is_not_there_answers_like_what_is_not_for_one(house: House, alice: Client) -> None:
    things = dict.fromkeys(things_of(house), uuid.uuid4()) | {"folder": "inbox", "n": 1}
    admin = browser_of(house.admin)
    for pattern in named_patterns():
        if pattern.name not in OF_ONESELF | OF_NOTHING:
            asker = admin if pattern.name in OF_ADMINS else alice
            assert ask(asker, pattern, address_of(pattern, things)) == 404, pattern.name


def test_a_colleague_outside_a_mailbox_does_not_see_it(house: House, alice: Client) -> None:
    arrive(house.bobs, to="bob@house.test")
    assert alice.get(f"/m/{house.bobs.pk}/inbox/").status_code == 404
    assert alice.get(f"/m/{house.alices.pk}/inbox/").status_code == 200
    assert not Delivery.objects.exists()
