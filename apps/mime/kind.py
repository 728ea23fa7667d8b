"""Recognise what a message is by its structure and headers, never by its prose."""

from collections.abc import Sequence

from apps.mime.headers import Headers
from apps.mime.message import MessageKind

# RFC 6522 and the reports built on it: DSN (RFC 3464), ARF (RFC 5965), MDN (RFC 8098).
_REPORTS = {
    "feedback-report": MessageKind.COMPLAINT,
    "delivery-status": MessageKind.BOUNCE,
    "disposition-notification": MessageKind.RECEIPT,
}
_AUTO_REPLY_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-auto-reply", "x-mail-autoreply")


def recognise_kind(
    headers: Headers,
    parameters: dict[str, str],
    leaves: Sequence[tuple[str, dict[str, str]]],
    auto_submitted: str,
) -> MessageKind:
    """The kind of a message, from its headers, its Content-Type parameters and the (type, parameters) of
    its leaves.
    """
    report = _report_kind(parameters, leaves)
    if report:
        return report
    if headers.has("x-failed-recipients"):  # Exim reports failures in prose and names the addresses here
        return MessageKind.BOUNCE
    if any(content_type == "text/calendar" and "method" in given for content_type, given in leaves):
        return MessageKind.CALENDAR
    if _is_auto_reply(headers, auto_submitted):
        return MessageKind.AUTO_REPLY
    if headers.has("list-id") or headers.get("precedence").strip().lower() == "list":  # RFC 2919
        return MessageKind.LIST
    return MessageKind.MAIL


def _report_kind(
    parameters: dict[str, str], leaves: Sequence[tuple[str, dict[str, str]]]
) -> MessageKind | None:
    """By the report-type of multipart/report, or by a part that only such a report has (RFC 6533: global-)."""
    types = [content_type for content_type, _ in leaves if content_type.startswith("message/")]
    names = [parameters.get("report-type", "").strip().lower()]
    names += [content_type.removeprefix("message/").removeprefix("global-") for content_type in types]
    return next((_REPORTS[name] for name in names if name in _REPORTS), None)


def _is_auto_reply(headers: Headers, auto_submitted: str) -> bool:
    """RFC 3834 §5.2: `auto-replied` answers a mail; `auto-generated` (a monitor's alarm, say) begins something new."""
    if auto_submitted in {"auto-replied", "auto-notified"}:
        return True
    if headers.get("precedence").strip().lower() in {"auto_reply", "auto-reply"}:
        return True
    values = [headers.get(name).strip().lower() for name in _AUTO_REPLY_HEADERS]
    return any(value and value != "no" for value in values)


def read_auto_submitted(headers: Headers) -> str:
    """The Auto-Submitted keyword in lower case, "no" when the field is absent (RFC 3834 §5)."""
    value = headers.get("auto-submitted").partition(";")[0].partition("(")[0].strip().lower()
    return value[:60] or "no"
