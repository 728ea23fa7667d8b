"""What a submission must be before anything is done with it. Each refusal names the field as the caller wrote it.

All that is wrong is found in one go and told together: the browser marks every field, and a program need not try five
times. Text that is merely untidy (a NUL, a line end in a subject, a lone surrogate) is cleaned; what would change the
meaning (an address that is none, a date in the past, a file that is too large) is refused.

| what        | bound                                                                                    |
|-------------|------------------------------------------------------------------------------------------|
| recipients  | 1,000, each at most 254 octets, 64 before the @ (RFC 5321 §4.5.3.1, RFC 3696 erratum 1690) |
| message     | 30 MiB as it goes over the line, base64 and all                                          |
| files       | 500; a name of at most 255 characters with something left of it once it is made safe      |
| headers     | 100 of the caller's own, each once; `apps/mime/own_headers.py` says which are not theirs   |
| undo window | a day; send later: 366 days                                                              |
| tags        | 50 of 100 characters; metadata 16 KiB as JSON                                            |

Whether a file may be sent for what is in it is the scanner's to say, in the worker.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from apps.accounts.principal import Principal
from apps.mime.address import InvalidAddress, normalise_address
from apps.mime.clean import clean_filename, clean_line
from apps.mime.compose import MAX_VALUE_CHARS, Unsubscribe
from apps.mime.folding import InvalidHeader, check_value
from apps.mime.own_headers import why_refused
from apps.outbound.errors import Fault, SubmissionInvalid
from apps.outbound.models import Lane
from apps.outbound.submission.asked import Submission, SubmittedAttachment
from apps.outbound.submission.faults import Faults
from apps.outbound.submission.recipients import People, check_people

MAX_MESSAGE_BYTES = 30 * 1024 * 1024
MAX_ATTACHMENTS = 500
MAX_FILENAME_CHARS = 255
MAX_HEADERS = 100
MAX_HOLD_SECONDS = 86_400
MAX_SCHEDULE = timedelta(days=366)
# A caller's clock may be a little behind ours.
PAST_TOLERANCE = timedelta(minutes=5)
MAX_TAGS = 50
MAX_TAG_CHARS = 100
MAX_METADATA_BYTES = 16 * 1024

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,63}/[\w!#$&^.+-]{1,63}(?:;.*)?", re.ASCII | re.DOTALL)
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
# RFC 3986 without the comma, which many readers of List-Unsubscribe split at, and without the brackets around it.
_VISIBLE_URL = re.compile(r"[!-+\--;=?-~]{1,900}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LANES = {
    "": Lane.INTERACTIVE,
    "high": Lane.INTERACTIVE,
    "normal": Lane.INTERACTIVE,
    "low": Lane.BULK,
    "bulk": Lane.BULK,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A submission that may be sent: who it concerns, how urgent it is, when it is due and by whose wish."""

    people: People
    lane: Lane
    due_at: datetime
    held_by: str


def check(principal: Principal, submission: Submission, faults: Faults, now: datetime) -> Checked:
    """Everything that can be told without writing anything. Raises SubmissionInvalid with all that is wrong, and what
    `faults` holds already."""
    people = faults.of(check_people, principal, submission)
    faults.of(check_content, submission)
    lane = faults.of(check_lane, submission.priority)
    times = faults.of(check_times, submission, now)
    faults.raise_any()
    if people is None or lane is None or times is None:
        msg = "a check neither answered nor refused"
        raise AssertionError(msg)
    return Checked(people, lane, *times)


def check_content(submission: Submission) -> None:
    """Sizes, headers, files, tags and metadata. Raises SubmissionInvalid."""
    faults = Faults()
    _check_headers(submission, faults)
    _check_files(submission.attachments, faults)
    for name in ("text", "html"):
        if len(getattr(submission, name)) > MAX_MESSAGE_BYTES:
            faults.add(name, too_large(len(getattr(submission, name))), Fault.TOO_LARGE)
    if len(submission.tags) > MAX_TAGS:
        faults.add("tags", f"A message has at most {MAX_TAGS} tags.", Fault.TOO_MANY)
    for n, tag in enumerate(submission.tags[:MAX_TAGS]):
        if not tag or len(tag) > MAX_TAG_CHARS or clean_line(tag) != tag:
            faults.add(f"tags[{n}]", f"A tag is one line of 1 to {MAX_TAG_CHARS} characters.")
    faults.of(_check_metadata, submission.metadata)
    if submission.unsubscribe is not None:
        _check_unsubscribe(submission.unsubscribe, faults)
    faults.raise_any()


def _check_headers(submission: Submission, faults: Faults) -> None:
    if len(submission.headers) > MAX_HEADERS:
        faults.add("headers", f"A message has at most {MAX_HEADERS} headers of its own.", Fault.TOO_MANY)
        return
    seen = {"list-unsubscribe"} if submission.unsubscribe is not None else set()
    for name, value in submission.headers:
        field = f"headers.{name[:80]}"
        if why := why_refused(name):
            faults.add(field, f"This header is not yours to write: {why}.", Fault.HEADER_RESERVED)
        elif name.lower() in seen:
            faults.add(field, "This header stands twice.", Fault.HEADER_INVALID)
        elif len(value) > MAX_VALUE_CHARS:
            faults.add(field, f"A value has at most {MAX_VALUE_CHARS:,} characters.", Fault.HEADER_INVALID)
        else:
            try:
                check_value(name, value)
            except InvalidHeader as error:
                faults.add(field, f"{error.reason[:1].upper()}{error.reason[1:]}.", Fault.HEADER_INVALID)
        seen.add(name.lower())


def _check_files(files: tuple[SubmittedAttachment, ...], faults: Faults) -> None:
    if len(files) > MAX_ATTACHMENTS:
        faults.add("attachments", f"A message has at most {MAX_ATTACHMENTS} files.", Fault.TOO_MANY)
        return
    for n, file in enumerate(files):
        field = f"attachments[{n}]"
        if len(file.filename) > MAX_FILENAME_CHARS:
            reason = f"A file's name has at most {MAX_FILENAME_CHARS} characters."
            faults.add(f"{field}.filename", reason, Fault.FILE_NAME)
        elif file.filename and not clean_filename(file.filename):
            faults.add(f"{field}.filename", "Nothing of this name can be a file's name.", Fault.FILE_NAME)
        if not _MEDIA_TYPE.fullmatch(file.content_type):
            faults.add(f"{field}.content_type", "This is no media type, such as image/png.")
        if file.content_id and not _CONTENT_ID.fullmatch(file.content_id):
            faults.add(f"{field}.content_id", "One word of ASCII without brackets is wanted.")
    # Base64 takes four bytes for three, and a line end after 57.
    size = sum(len(one.content) for one in files) * 78 // 57
    if size > MAX_MESSAGE_BYTES:
        faults.add("attachments", too_large(size), Fault.TOO_LARGE)


def _check_unsubscribe(way: Unsubscribe, faults: Faults) -> None:
    """RFC 8058 §3.1: one click needs https. A mail address alone is RFC 2369, and two clicks."""
    if not way.url and not way.mailto:
        faults.add("list_unsubscribe", "It needs a `url`, a `mailto`, or both.", Fault.UNSUBSCRIBE_INVALID)
    if way.url and not _is_https(way.url):
        reason = "One-click unsubscribing needs an https:// address in visible ASCII without commas."
        faults.add("list_unsubscribe.url", reason, Fault.UNSUBSCRIBE_INVALID)
    if way.mailto:
        address, _question, _query = way.mailto.partition("?")
        try:
            normalise_address(address)
        except InvalidAddress as error:
            reason = f"This is no address: {error}."
            faults.add("list_unsubscribe.mailto", reason, Fault.UNSUBSCRIBE_INVALID)
            return
        if not _VISIBLE_URL.fullmatch(way.mailto):
            reason = "An address here is visible ASCII without commas."
            faults.add("list_unsubscribe.mailto", reason, Fault.UNSUBSCRIBE_INVALID)


def _is_https(url: str) -> bool:
    if not _VISIBLE_URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        written = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SubmissionInvalid("metadata", "This cannot be written as JSON.") from error
    # PostgreSQL refuses NUL and lone surrogates in JSON; json writes NUL as an escape.
    if "\\u0000" in written or _UNSTORABLE.search(written):
        raise SubmissionInvalid("metadata", "It contains a NUL or half a character.")
    if len(written.encode()) > MAX_METADATA_BYTES:
        raise SubmissionInvalid("metadata", f"At most {MAX_METADATA_BYTES:,} bytes as JSON.", Fault.TOO_LARGE)


def too_large(size_bytes: int) -> str:
    return f"The message would have {size_bytes:,} bytes; the limit is {MAX_MESSAGE_BYTES:,}."


def check_message_id(field_name: str, value: str) -> str:
    """A Message-ID without its brackets. Raises SubmissionInvalid."""
    bare = value.strip().removeprefix("<").removesuffix(">")
    if not can_be_referred_to(bare):
        raise SubmissionInvalid(
            field_name,
            "This is neither a Message-ID nor the id of a message you may see.",
            Fault.UNKNOWN_MESSAGE,
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
    faults = Faults()
    if not 0 <= submission.hold_seconds <= MAX_HOLD_SECONDS:
        faults.add("hold_seconds", f"It is a number of seconds from 0 to {MAX_HOLD_SECONDS:,}.")
    if submission.send_at is not None:
        faults.of(check_send_at, submission.send_at, now)
    faults.raise_any()
    held_until = now + timedelta(seconds=submission.hold_seconds)
    if submission.send_at is not None and submission.send_at > held_until:
        return submission.send_at, "send_at"
    return held_until, "hold_seconds" if submission.hold_seconds else ""


def check_send_at(send_at: datetime, now: datetime) -> None:
    """A moment to send at. Raises SubmissionInvalid for none, one that has passed, and one too far ahead."""
    if send_at.tzinfo is None:
        raise SubmissionInvalid("send_at", "A time needs its time zone.")
    if send_at < now - PAST_TOLERANCE:
        raise SubmissionInvalid("send_at", "This time has passed.", Fault.TIME_PASSED)
    if send_at > now + MAX_SCHEDULE:
        raise SubmissionInvalid("send_at", f"At most {MAX_SCHEDULE.days} days ahead.", Fault.TIME_TOO_FAR)


def check_idempotency_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise SubmissionInvalid("Idempotency-Key", "It has 1 to 255 printable ASCII characters.")
