"""What a submission must be before anything is done with it. Each refusal names the field as the caller wrote it.

Text that is merely untidy (a NUL, a line end in a subject, a lone surrogate) is cleaned; what would change the meaning
(an address that is none, a date in the past, a file that is too large) is refused.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.principal import Principal
from apps.mailboxes.addresses import find_owned, is_our_domain, sendable_address
from apps.mailboxes.models import Mailbox, OwnedAddress
from apps.mime.address import Address, InvalidAddress, normalise_address, parse_addresses
from apps.mime.clean import clean_line
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import Lane, RecipientField, Route

MAX_RECIPIENTS = 1000
MAX_MESSAGE_BYTES = 30 * 1024 * 1024
MAX_ATTACHMENTS = 500
MAX_HEADERS = 100
MAX_HOLD_SECONDS = 86_400
MAX_SCHEDULE = timedelta(days=366)
# A caller's clock may be a little behind ours.
PAST_TOLERANCE = timedelta(minutes=5)
MAX_TAGS = 50
MAX_TAG_CHARS = 100
MAX_METADATA_BYTES = 16 * 1024
MAX_ADDRESS_CHARS = 1000

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,63}/[\w!#$&^.+-]{1,63}(?:;.*)?", re.ASCII | re.DOTALL)
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LANES = {
    "": Lane.INTERACTIVE,
    "high": Lane.INTERACTIVE,
    "normal": Lane.INTERACTIVE,
    "low": Lane.BULK,
    "bulk": Lane.BULK,
}


@dataclass(frozen=True, slots=True)
class SubmittedAttachment:
    """A file as the caller gave it. With a `content_id` the HTML may show it as `cid:…`."""

    filename: str
    content_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """A message as the caller wrote it: addresses as strings, nothing checked yet.

    `in_reply_to` is a Message-ID or the id of a message the caller may see. `hold_seconds` is the undo window.
    `priority` is "", high, normal, low or bulk; the last two go the slow lane. `auto_submitted` is RFC 3834's keyword
    for what no person wrote; no edge takes it from a caller.
    """

    sender: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[SubmittedAttachment, ...] = ()
    in_reply_to: str = ""
    send_at: datetime | None = None
    hold_seconds: int = 0
    priority: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    auto_submitted: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address the message goes to, once. `mailbox` is set for an address of ours that somebody owns."""

    address: str
    field: RecipientField
    route: Route
    mailbox: Mailbox | None

    @property
    def exists_nowhere(self) -> bool:
        """Of our own domain, and nobody's."""
        return self.route == Route.LOCAL and self.mailbox is None


@dataclass(frozen=True, slots=True)
class People:
    """Who a message is from and to, checked."""

    sender: Address
    sender_row: OwnedAddress
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    recipients: tuple[Recipient, ...]


def check_people(principal: Principal, submission: Submission) -> People:
    """Read every address. Raises SubmissionInvalid for `from`, `to[1]` and so on."""
    sender = _address("from", submission.sender)
    row = sendable_address(principal, normalise_address(sender.address))
    if row is None:
        raise SubmissionInvalid("from", f"You may not send from {sender.address}.")
    lists = {
        name: tuple(_address(f"{name}[{n}]", value) for n, value in enumerate(given))
        for name, given in (
            ("to", submission.to),
            ("cc", submission.cc),
            ("bcc", submission.bcc),
            ("reply_to", submission.reply_to),
        )
    }
    given = [(RecipientField(name), one) for name in ("to", "cc", "bcc") for one in lists[name]]
    if not given:
        raise SubmissionInvalid("to", "A message needs at least one recipient.")
    if len(given) > MAX_RECIPIENTS:
        raise SubmissionInvalid(
            "to", f"A message has at most {MAX_RECIPIENTS:,} recipients; this one has {len(given):,}."
        )
    return People(
        sender=Address(sender.name or row.mailbox.name, sender.address),
        sender_row=row,
        recipients=tuple(_recipients(principal.organisation_id, given)),
        **lists,
    )


def _address(field_name: str, value: str) -> Address:
    """`anna@example.org` or `Anna <anna@example.org>`; exactly one."""
    if len(value) > MAX_ADDRESS_CHARS:
        raise SubmissionInvalid(
            field_name, f"An address has at most {MAX_ADDRESS_CHARS} characters with its name."
        )
    try:
        if "<" not in value:
            normalise_address(value)
            return Address("", _as_written(value))
        found = parse_addresses(value)
        if len(found) != 1:
            raise SubmissionInvalid(field_name, "Exactly one address is wanted here.")
        normalise_address(found[0].address)
    except InvalidAddress as error:
        raise SubmissionInvalid(field_name, f"This is no address: {error}.") from error
    return found[0]


def _as_written(address: str) -> str:
    # RFC 5321 §2.4: the local part belongs to its host and is kept; only the domain has one form.
    local = address.strip(" ").rpartition("@")[0]
    return f"{local}@{normalise_address(address).rpartition('@')[2]}"


def _recipients(
    organisation_id: uuid.UUID, given: list[tuple[RecipientField, Address]]
) -> Iterator[Recipient]:
    """Each address once, under the first field that names it, and the road it takes.

    An address is local when a row of this organisation says so, never because its domain looks like ours. What a domain
    of ours has no row for exists nowhere: asking a relay for it would bring it back to us.
    """
    unique: dict[str, tuple[RecipientField, Address]] = {}
    for recipient_field, address in given:
        unique.setdefault(normalise_address(address.address), (recipient_field, address))
    owned = {
        normal: row for normal, row in find_owned(unique).items() if row.organisation_id == organisation_id
    }
    domains = {normal.rpartition("@")[2] for normal in unique.keys() - owned.keys()}
    ours = {domain for domain in domains if is_our_domain(organisation_id, domain)}
    for normal, (recipient_field, address) in unique.items():
        row = owned.get(normal)
        local = row is not None or normal.rpartition("@")[2] in ours
        yield Recipient(
            address=address.address,
            field=recipient_field,
            route=Route.LOCAL if local else Route.RELAY,
            mailbox=row.mailbox if row is not None else None,
        )


def check_content(submission: Submission) -> None:
    """Sizes, headers, files, tags and metadata. Raises SubmissionInvalid."""
    if len(submission.headers) > MAX_HEADERS:
        raise SubmissionInvalid("headers", f"A message has at most {MAX_HEADERS} headers of its own.")
    if len(submission.attachments) > MAX_ATTACHMENTS:
        raise SubmissionInvalid("attachments", f"A message has at most {MAX_ATTACHMENTS} files.")
    for n, attachment in enumerate(submission.attachments):
        if not _MEDIA_TYPE.fullmatch(attachment.content_type):
            raise SubmissionInvalid(
                f"attachments[{n}].content_type", "This is no media type, such as image/png."
            )
        if attachment.content_id and not _CONTENT_ID.fullmatch(attachment.content_id):
            raise SubmissionInvalid(
                f"attachments[{n}].content_id", "One word of ASCII without brackets is wanted."
            )
    # Base64 takes four bytes for three, and a line end after 57.
    size = sum(len(one.content) for one in submission.attachments) * 78 // 57
    if size > MAX_MESSAGE_BYTES:
        raise SubmissionInvalid("attachments", too_large(size))
    for name in ("text", "html"):
        if len(getattr(submission, name)) > MAX_MESSAGE_BYTES:
            raise SubmissionInvalid(name, too_large(len(getattr(submission, name))))
    if len(submission.tags) > MAX_TAGS:
        raise SubmissionInvalid("tags", f"A message has at most {MAX_TAGS} tags.")
    for n, tag in enumerate(submission.tags):
        if not tag or len(tag) > MAX_TAG_CHARS or clean_line(tag) != tag:
            raise SubmissionInvalid(f"tags[{n}]", f"A tag is one line of 1 to {MAX_TAG_CHARS} characters.")
    _check_metadata(submission.metadata)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        written = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SubmissionInvalid("metadata", "This cannot be written as JSON.") from error
    # PostgreSQL refuses NUL and lone surrogates in JSON; json writes NUL as an escape.
    if "\\u0000" in written or _UNSTORABLE.search(written):
        raise SubmissionInvalid("metadata", "It contains a NUL or half a character.")
    if len(written.encode()) > MAX_METADATA_BYTES:
        raise SubmissionInvalid("metadata", f"At most {MAX_METADATA_BYTES:,} bytes as JSON.")


def too_large(size_bytes: int) -> str:
    return f"The message would have {size_bytes:,} bytes; the limit is {MAX_MESSAGE_BYTES:,}."


def check_message_id(field_name: str, value: str) -> str:
    """A Message-ID without its brackets. Raises SubmissionInvalid."""
    bare = value.strip().removeprefix("<").removesuffix(">")
    if not can_be_referred_to(bare):
        raise SubmissionInvalid(
            field_name, "This is neither a Message-ID nor the id of a message you may see."
        )
    return bare


def can_be_referred_to(message_id: str) -> bool:
    """Whether a Message-ID can be written into References: other programs' ids may be anything."""
    return "@" in message_id and _MESSAGE_ID.fullmatch(message_id) is not None


def check_lane(priority: str) -> Lane:
    if priority not in _LANES:
        raise SubmissionInvalid("priority", "It is one of high, normal, low and bulk.")
    return _LANES[priority]


def check_times(submission: Submission, now: datetime) -> tuple[datetime, str]:
    """When the message is due, and which wish decides it: "hold_seconds", "send_at" or "". Raises SubmissionInvalid."""
    if not 0 <= submission.hold_seconds <= MAX_HOLD_SECONDS:
        raise SubmissionInvalid("hold_seconds", f"It is a number of seconds from 0 to {MAX_HOLD_SECONDS:,}.")
    send_at = submission.send_at
    if send_at is not None:
        if send_at.tzinfo is None:
            raise SubmissionInvalid("send_at", "A time needs its time zone.")
        if send_at < now - PAST_TOLERANCE:
            raise SubmissionInvalid("send_at", "This time has passed.")
        if send_at > now + MAX_SCHEDULE:
            raise SubmissionInvalid("send_at", f"At most {MAX_SCHEDULE.days} days ahead.")
    held_until = now + timedelta(seconds=submission.hold_seconds)
    if send_at is not None and send_at > held_until:
        return send_at, "send_at"
    return held_until, "hold_seconds" if submission.hold_seconds else ""


def check_idempotency_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise SubmissionInvalid("Idempotency-Key", "It has 1 to 255 printable ASCII characters.")
