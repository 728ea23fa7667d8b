"""The outsider: an admin of another organisation, with a valid key and a signed-in browser, who must see nothing.

Every address of the product is tried by every method, with the ids of somebody else's real objects. The owner tries the
same addresses with the same ids, so that a 404 for a wrong reason does not pass.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.erasure.models import Erasure
from apps.erasure.services import request_erasure
from apps.mailboxes.aliases import add_alias
from apps.mailboxes.app_passwords import create_app_password
from apps.mailboxes.labels import create_label
from apps.mailboxes.models import AppPassword, Domain, Folder, Label, Message, OwnedAddress, SavedView
from apps.mailboxes.saved_views import save_view
from apps.outbound.bounces.suppressions import add_suppression
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.limits.services import make_limit
from apps.outbound.models import (
    Delivery,
    DeliveryState,
    KeyAlgorithm,
    LimitScope,
    RefusedSubmission,
    Relay,
    SendingLimit,
    SigningKey,
    Suppression,
)
from apps.outbound.signing.rotation import create_keys
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.outbound.submission.submit import SubmittedAttachment
from apps.tickets.bulk import Wish, do_to_many
from apps.tickets.models import BulkChange, Deed, HeldMessage, Ticket, TicketMove, TrustedSender
from apps.tickets.moving import split_message
from apps.tickets.services import add_note
from apps.tickets.trust import trust_sender
from apps.webhooks.models import Webhook
from apps.webhooks.services import create_webhook
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from apps.writing.drafts import Typed, save_draft
from apps.writing.files import append_piece, begin_file
from apps.writing.models import Draft, SavedReply
from apps.writing.phrases import keep_saved_reply
from tests.api.client import Api
from tests.arrivals import arrive
from tests.flows.url_map import Address, addresses
from tests.mail import raw_mail
from tests.outbound.sending import send
from tests.people import House
from tests.writing.documents import document

ADDRESSES = addresses()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ARRIVED_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
MARK = "Zanzibar"
ZOE = "zoe@customer.example"
# These tell of the machine and not of any tenant.
OF_NOBODY = {"healthz", "readyz", "metrics"}


@dataclass(frozen=True)
class Belongings:
    """What the house has: a ticket, an answer that waits, what failed, what was refused, held mail, a key."""

    house: House
    ticket: Ticket
    answer: Message
    waiting: Delivery
    failed: Delivery
    webhook: Webhook
    relay: Relay
    limit: SendingLimit
    refused: RefusedSubmission
    key: SigningKey
    app_password: AppPassword
    suppression: Suppression
    held: HeldMessage
    trusted: TrustedSender
    alias: OwnedAddress
    move: TicketMove
    erasure: Erasure
    label: Label
    view: SavedView
    change: BulkChange
    draft: Draft
    saved_reply: SavedReply

    def values(self, reader: User) -> dict[str, Callable[[Address], object]]:
        """What each parameter of an address is filled with. `reader` is whom tokens are made for."""
        return {
            "mailbox_id": lambda _address: self.house.support.pk,
            "message_id": lambda _address: self.answer.pk,
            "thread_id": lambda _address: self.ticket.thread_id,
            "ticket_id": lambda _address: self.ticket.pk,
            "webhook_id": lambda _address: self.webhook.pk,
            "delivery_id": lambda _address: self.failed.pk,
            "relay_id": lambda _address: self.relay.pk,
            "error_id": lambda _address: self.refused.pk,
            "refused_id": lambda _address: self.refused.pk,
            "folder": lambda _address: Folder.INBOX,
            "move_id": lambda _address: self.move.pk,
            "erasure_id": lambda _address: self.erasure.pk,
            "limit_id": lambda _address: self.limit.pk,
            "n": lambda _address: 1,
            "domain_id": lambda _address: self.key.domain_id,
            "app_password_id": lambda _address: self.app_password.pk,
            "key_id": lambda _address: self.key.pk,
            "suppression_id": lambda _address: self.suppression.pk,
            "held_id": lambda _address: self.held.pk,
            "trusted_id": lambda _address: self.trusted.pk,
            "alias_id": lambda _address: self.alias.pk,
            "label_id": lambda _address: self.label.pk,
            "view_id": lambda _address: self.view.pk,
            "change_id": lambda _address: self.change.pk,
            "draft_id": lambda _address: self.draft.pk,
            "file_id": lambda _address: self.draft.files.get().pk,
            "reply_id": lambda _address: self.saved_reply.pk,
            "token": lambda address: self._token(address, reader),
        }

    def _token(self, address: Address, reader: User) -> str:
        """A token that is signed as it should be, for a person who has nothing to do with the message."""
        kind = ContentKind(address.name)
        part = self.answer.parts.get(inline=kind == ContentKind.INLINE)
        if kind == ContentKind.ENCLOSED:
            # Taken for a message within the message, so that its owner is answered.
            enclosed = {
                "n": part.n,
                "from": {"name": "", "address": ""},
                "to": [],
                "subject": "",
                "date": None,
            }
            Message.objects.filter(pk=self.answer.pk).update(
                contents={"enclosed": [enclosed | {"snippet": ""}]}
            )
        url = content_url(kind, ContentClaim(self.answer.pk, reader.pk, n=part.n), timezone.now())
        path: str = urlsplit(url).path
        return path.rstrip("/").rpartition("/")[2]

    @property
    def secrets(self) -> list[bytes]:
        """What no answer to the outsider may contain."""
        house = self.house
        rows = (house.organisation, house.support, house.alice, self.ticket, self.ticket.thread, self.answer)
        going_out = (self.waiting, self.failed, self.webhook, self.relay, self.refused, self.move)
        listed = (self.suppression, self.held, self.trusted, self.app_password, self.erasure, self.alias)
        kept = (self.label, self.view, self.change, self.draft, self.draft.files.get(), self.saved_reply)
        ids = [str(row.pk) for row in (*rows, *going_out, self.key, self.key.domain, *listed, *kept)]
        return [text.encode() for text in (*ids, MARK, "house.test", "customer.example")]


@pytest.fixture
def belongings(house: House) -> Belongings:
    arrive(house.support, subject=f"The ferry to {MARK}", at=ARRIVED_AT)
    ticket = Ticket.objects.select_related("mailbox").get()
    second = arrive(
        house.support,
        message_id="second@customer.example",
        headers={"In-Reply-To": "<first@customer.example>"},
        at=ARRIVED_AT,
    )
    add_note(house.as_alice, ticket, f"{MARK} is sold out.", now=ARRIVED_AT)
    reply = Reply(
        text=f"No ferry to {MARK}.",
        html=f'<p>No ferry to {MARK}. <img src="cid:map"></p>',
        to=("elena@customer.example", "nobody@house.test"),
        attachments=(
            SubmittedAttachment(f"{MARK}.txt", "text/plain", b"timetable"),
            SubmittedAttachment("map.png", "image/png", b"\x89PNG\r\n", content_id="map"),
        ),
        hold_seconds=3600,
    )
    submitted = reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=None, now=timezone.now())
    held = HeldMessage.objects.create(
        organisation=house.organisation,
        raw=submitted.message.raw,
        sender_address=f"captain@{MARK.lower()}.example",
        subject=MARK,
        cause="suspicious",
        reason="It looks odd.",
        received_at=ARRIVED_AT,
        held_at=ARRIVED_AT,
    )
    held.mailboxes.add(house.support)
    webhook, _secret = create_webhook(
        house.as_key,
        url=f"https://shop.customer.example/{MARK}",
        event_kinds=["*"],
        allowed=(),
        now=timezone.now(),
    )
    with pytest.raises(SubmissionInvalid):
        send(house.as_alice, f"nobody in {MARK}", subject=MARK)
    label = create_label(house.as_alice, MARK)
    by_state = {delivery.state: delivery for delivery in submitted.deliveries}
    return Belongings(
        house=house,
        ticket=ticket,
        answer=submitted.message,
        waiting=by_state[DeliveryState.SCHEDULED],
        failed=by_state[DeliveryState.FAILED],
        webhook=webhook,
        relay=Relay.objects.create(
            organisation=house.organisation,
            name=f"Relay of {MARK}",
            host="127.0.0.1",
            port=9,
            security="none",
        ),
        limit=make_limit(
            Principal.of_key(house.key),
            scope=LimitScope.SENDER,
            subject="support@house.test",
            bounds={"per_hour": 1000},
            now=timezone.now(),
        ),
        refused=RefusedSubmission.objects.get(),
        key=create_keys(Domain.objects.get(name=house.domain), ARRIVED_AT, algorithms=[KeyAlgorithm.ED25519])[
            0
        ],
        app_password=create_app_password(house.as_alice, house.support, name=MARK, now=timezone.now())[0],
        suppression=add_suppression(
            house.as_key, f"gone@{MARK.lower()}.example", evidence=MARK, now=timezone.now()
        ),
        held=held,
        trusted=trust_sender(house.as_key, f"{MARK.lower()}.example", now=timezone.now()),
        alias=add_alias(house.as_key, house.support, f"{MARK.lower()}@house.test"),
        move=split_message(house.as_alice, ticket, second.pk, now=timezone.now()),
        erasure=request_erasure(house.as_key, ZOE, confirmation=ZOE, now=timezone.now()),
        label=label,
        view=save_view(house.as_alice, house.support, name=MARK, query=MARK, shared=True, now=timezone.now()),
        change=do_to_many(
            Principal.of_user(house.admin),
            house.support,
            [ticket.thread_id],
            Wish(Deed.LABEL, label_id=str(label.pk)),
            now=timezone.now(),
        ),
        draft=_draft(house),
        saved_reply=keep_saved_reply(
            house.as_alice,
            name=MARK,
            document=document(f"The ferry to {MARK}"),
            mailbox=house.support,
            row=None,
            now=timezone.now(),
        ),
    )


def _draft(house: House) -> Draft:
    """The admin's, who is the owner that tries these addresses."""
    admin = Principal.of_user(house.admin)
    typed = Typed({"subject": MARK, "text": f"To {MARK}"}, document=document(f"To {MARK}"))
    draft = save_draft(
        admin, uuid.uuid4(), typed, mailbox=house.support, thread_id=None, now=ARRIVED_AT
    ).draft
    file = begin_file(
        draft,
        uuid.uuid4(),
        filename=f"{MARK}.txt",
        content_type="text/plain",
        size_bytes=9,
        content_id="",
        now=ARRIVED_AT,
    )
    append_piece(file, 0, b"timetable")
    return draft


def ask(address: Address, path: str, method: str, *, user: User, secret: str) -> Any:
    """One request by a browser that is signed in as `user`, or with the key `secret` where the address is the API's."""
    client = Client(raise_request_exception=False)
    host = urlsplit(settings.CONTENT_ORIGIN if address.on_content_origin else settings.WEB_ORIGIN).netloc
    headers = {"Host": host}
    if address.is_api:
        headers["Authorization"] = f"Bearer {secret}"
    else:
        client.force_login(user)
    return client.generic(method, path, b"{}", content_type="application/json", headers=headers)


def read(answer: Any) -> bytes:
    content: bytes = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content + repr(sorted(answer.headers.items())).encode()


@pytest.mark.parametrize("address", [one for one in ADDRESSES if one.parameters], ids=str)
def test_what_belongs_to_somebody_else_is_not_there(
    address: Address, belongings: Belongings, stranger: House
) -> None:
    path = address.path(belongings.values(stranger.admin))
    statuses = set()
    for method in METHODS:
        answer = ask(address, path, method, user=stranger.admin, secret=stranger.secret)
        assert answer.status_code in {404, 405}, f"{method} {path} answered {answer.status_code}"
        content = read(answer)
        assert not [secret for secret in belongings.secrets if secret in content], (method, path)
        statuses.add(answer.status_code)
    assert 404 in statuses, f"{path} was refused for its method every time, so nobody looked at the ids"


# Their owner must name something in a form, or have mail of a special kind. They are tried with that, as the outsider
# too, in tests/webmail: test_outsider.py, test_folding.py, test_within.py, test_previews.py, test_remote_pictures.py.
ASKING_FOR_MORE = {
    "move-message",
    "split-message",
    "folded",
    "preview",
    ContentKind.ENCLOSED,
    ContentKind.PAGE,
    ContentKind.REMOTE,
}


@pytest.mark.parametrize(
    "address",
    [one for one in ADDRESSES if one.parameters and (one.is_api or one.name not in ASKING_FOR_MORE)],
    ids=str,
)
def test_the_same_addresses_answer_their_owner(address: Address, belongings: Belongings) -> None:
    house = belongings.house
    path = address.path(belongings.values(house.admin))
    answers = {
        method: ask(address, path, method, user=house.admin, secret=house.secret).status_code
        for method in ("GET", "POST", "PATCH")
    }
    assert set(answers.values()) - {401, 403, 404, 405}, f"{path} answered its owner {answers}"
    assert not [status for status in answers.values() if status >= 500], answers


@pytest.mark.parametrize("address", [one for one in ADDRESSES if not one.parameters], ids=str)
def test_no_list_or_page_shows_what_belongs_to_somebody_else(
    address: Address, belongings: Belongings, stranger: House
) -> None:
    path = address.path({})
    for method in METHODS:
        answer = ask(address, path, method, user=stranger.admin, secret=stranger.secret)
        if address.route not in OF_NOBODY:
            assert answer.status_code < 500, f"{method} {path} answered {answer.status_code}"
        content = read(answer)
        assert not [secret for secret in belongings.secrets if secret in content], (method, path)


@pytest.mark.parametrize("address", [one for one in ADDRESSES if one.is_api], ids=str)
def test_a_session_opens_nothing_of_the_api(address: Address, belongings: Belongings) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(belongings.house.alice)
    path = address.path(belongings.values(belongings.house.alice))
    assert {client.generic(method, path).status_code for method in METHODS} <= {401, 405}


def test_ids_in_queries_and_bodies_lead_nowhere_either(belongings: Belongings, stranger: House) -> None:
    arrive(stranger.support, to="support@stranger.test")
    own = Ticket.objects.get(organisation=stranger.organisation)
    outsider, house = Api.of(stranger.secret), belongings.house
    for path in ("/messages", "/tickets"):
        assert outsider.get(f"{path}?mailbox={house.support.pk}").status_code == 404
        assert outsider.get(f"{path}?q={MARK}").json()["results"] == []
    assert outsider.get(f"/tickets?assignee={house.alice.pk}").json()["results"] == []
    assert outsider.patch(f"/tickets/{own.pk}", {"assignee": str(house.alice.pk)}).status_code == 422
    forged = {"from": "support@house.test", "to": ["elena@customer.example"], "text": "Hello"}
    assert outsider.post("/messages", forged).status_code == 422
    honest = forged | {"from": "support@stranger.test"}
    by_id = outsider.post("/messages", honest | {"in_reply_to": str(belongings.answer.pk)})
    assert by_id.status_code == 422
    by_message_id = outsider.post("/messages", honest | {"in_reply_to": belongings.answer.rfc_message_id})
    assert by_message_id.status_code == 202
    assert Message.objects.get(pk=by_message_id.json()["id"]).thread_id != belongings.ticket.thread_id


def test_a_mail_to_two_organisations_is_two_messages(house: House, stranger: House) -> None:
    raw = raw_mail(to="support@house.test, support@stranger.test")
    ours, theirs = arrive(house.support, raw), arrive(stranger.support, raw)
    assert ours.thread_id != theirs.thread_id
    assert ours.raw_id != theirs.raw_id
