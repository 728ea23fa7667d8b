"""Recognise a report on mail of ours, and read it: by its parts where it has them, else by its prose.

    message/feedback-report                               feedback         (RFC 5965)
    Amazon's JSON, Microsoft's junk reports               providers
    message/delivery-status, message/global-delivery-…    delivery_status  (RFC 3464, RFC 6533)
    a text of a mail system, with a sentence we know      dialects

What a person or their holiday program wrote is no report, wherever it was sent: vacation notices, challenges ("please
confirm that you are human") and read receipts are mail. A mail is a mail system's when its envelope sender is null
(RFC 5321 §4.5.5) or its From says so; the null sender alone does not make it a report, because answering machines use
it too (RFC 3834 §3.3).

The mail has been through the parser that can be killed; everything here works on its parts, is bounded, and never
raises for what they say.
"""

import re
from dataclasses import replace

from apps.mime.headers import Headers, message_ids, read_headers
from apps.mime.message import MessageKind, ParsedMessage, ParsedPart
from apps.outbound.bounces.delivery_status import address_of, read_delivery_status
from apps.outbound.bounces.dialects import MESSAGE_ID, READ_CHARS, RETURN_PATH, read_prose
from apps.outbound.bounces.feedback import read_feedback
from apps.outbound.bounces.providers import JUNK_REPORTER, read_junk_report, read_ses
from apps.outbound.bounces.report import Report, Returned, Told

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED_TYPES = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers", "text/rfc822"}
)
_RETURNED_BYTES = 256 * 1024
_HEADER_BYTES = 256 * 1024
_FAILED_RECIPIENTS = re.compile(rb"^X-Failed-Recipients:", re.IGNORECASE | re.MULTILINE)
# How mail systems sign their reports; RFC 5321 §4.5.5 leaves the name to them.
_MAIL_SYSTEM = re.compile(
    r"mailer-?daemon|postmaster|mail[._-]?delivery|mail delivery (?:system|subsystem)|microsoft ?exchange"
    r"|mdaemon|system administrator|delivery (?:status|notification)",
    re.IGNORECASE,
)


def read_report(parsed: ParsedMessage, raw: bytes, *, envelope_sender: str) -> Report | None:
    """The report a received message is, or None when it is mail like any other."""
    # What stands within a forwarded mail or a winmail.dat is somebody's, and no report to us.
    parsed = replace(parsed, parts=tuple(part for part in parsed.parts if not part.within))
    feedback = _first(parsed, {"message/feedback-report"})
    if feedback is not None:
        told, sender = read_feedback(feedback.data)
        return Report("arf", told, _returned(parsed, extra_paths=(sender,)))
    told = tuple(
        one
        for part in parsed.parts
        if part.content_type in _STATUS_TYPES
        for one in read_delivery_status(part.data)
    )
    if told:
        return Report("rfc3464", told, _returned(parsed))
    if (ses := read_ses(parsed.text)) is not None:
        return ses
    if junk := _junk_report(parsed):
        return Report("jmrp", junk, _returned(parsed))
    # Most mail ends here: nothing of it is read a second time.
    if not (
        _is_from_mail_system(parsed, envelope_sender) or _FAILED_RECIPIENTS.search(raw, 0, _HEADER_BYTES)
    ):
        return None
    headers, _body = read_headers(raw, 0, min(len(raw), _HEADER_BYTES))
    dialect, told = _read_text(parsed, headers)
    return Report(dialect, told, _returned(parsed)) if told else None


def _junk_report(parsed: ParsedMessage) -> tuple[Told, ...]:
    part = _first(parsed, _RETURNED_TYPES)
    if part is None or parsed.sender.address.lower() != JUNK_REPORTER:
        return ()
    data = part.data[:_RETURNED_BYTES]
    return read_junk_report(read_headers(data, 0, len(data))[0])


def _read_text(parsed: ParsedMessage, headers: Headers) -> tuple[str, tuple[Told, ...]]:
    failed = tuple(
        address
        for value in headers.all("x-failed-recipients")
        for address in (address_of(one) for one in value.split(","))
        if "@" in address
    )
    texts = [parsed.text, *(_text_of(part) for part in parsed.parts if part.content_type == "text/plain")]
    for text in texts:
        dialect, told = read_prose(text, failed=failed)
        if told:
            return dialect, told
    return "", ()


def _is_from_mail_system(parsed: ParsedMessage, envelope_sender: str) -> bool:
    return not envelope_sender or bool(_MAIL_SYSTEM.search(f"{parsed.sender.name} {parsed.sender.address}"))


def _returned(parsed: ParsedMessage, *, extra_paths: tuple[str, ...] = ()) -> Returned:
    """What is quoted of the mail: from the part that holds it, else from the text after it."""
    part = _first(parsed, _RETURNED_TYPES)
    if part is None:
        text = parsed.text[:READ_CHARS]
        found = MESSAGE_ID.search(text)
        paths = (*extra_paths, *RETURN_PATH.findall(text)[:5])
        return Returned(found[1] if found else "", tuple(path for path in paths if path))
    headers, _end = read_headers(part.data[:_RETURNED_BYTES], 0, min(len(part.data), _RETURNED_BYTES))
    ids = message_ids(headers.get("message-id"))
    sender = address_of(headers.get("from")).rpartition("@")[0].lower()
    paths = (*extra_paths, *(address_of(value) for value in headers.all("return-path")))
    return Returned(
        message_id=ids[0] if ids else "",
        return_paths=tuple(path for path in paths if path),
        is_automatic=headers.get("auto-submitted").strip().lower().startswith("auto-")
        or headers.get("return-path").strip() == "<>"
        or sender in {"mailer-daemon", "postmaster"},
    )


def _first(parsed: ParsedMessage, types: frozenset[str] | set[str]) -> ParsedPart | None:
    return next((part for part in parsed.parts if part.content_type in types), None)


def _text_of(part: ParsedPart) -> str:
    return part.data[:READ_CHARS].decode("utf-8", "replace").replace("\r\n", "\n")


def kind_of(report: Report) -> MessageKind:
    """What a recognised report is filed as."""
    return MessageKind.COMPLAINT if report.is_complaint else MessageKind.BOUNCE
