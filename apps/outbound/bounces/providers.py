"""Reports in the forms that two providers made for themselves.

Amazon SES tells of bounces, complaints and deliveries in JSON, which SNS sends as mail ("Amazon SNS notification
contents for Amazon SES"). `mail.source` is the envelope sender, and so our signed return path. Microsoft's Junk Mail
Reporting Program sends the mail back with one field added that names the recipient. Only what that program sends is a
complaint: a customer who forwards our mail, such a field in it, wants something of us.
"""

import json
import re
from typing import Any

from apps.mime.clean import clean_line
from apps.mime.headers import Headers
from apps.outbound.bounces.report import MAX_DIAGNOSTIC_CHARS, MAX_RECIPIENTS, Report, Returned, Told
from apps.outbound.models import ReportAction

MAX_JSON_CHARS = 256 * 1024
JUNK_REPORTER = "staff@hotmail.com"

_NOTIFICATION = re.compile(r"\s{0,10}\{\s{0,10}\"(?:notificationType|eventType)\"")
# where the recipients stand, and what is told of them
_KINDS = {
    "Bounce": ("bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complainedRecipients"),
    "Delivery": ("delivery", "recipients"),
}


def read_ses(text: str) -> Report | None:
    """The report that a text of Amazon SES is, or None. Never raises."""
    if not _NOTIFICATION.match(text):
        return None
    # Old sendmails break a line after 990 bytes with "!" and a blank on the next.
    whole = text[:MAX_JSON_CHARS].replace("!\n ", "").lstrip()
    try:
        # SNS writes a note for people behind it.
        notice, _end = json.JSONDecoder().raw_decode(whole)
    except (ValueError, RecursionError):
        return None
    kind = _text(notice, "notificationType") or _text(notice, "eventType")
    if kind not in _KINDS:
        return None
    event, recipients = _KINDS[kind]
    details = _dict(notice, event)
    mail = _dict(notice, "mail")
    found = details.get(recipients)
    told = [_told(kind, details, one) for one in found[:MAX_RECIPIENTS]] if isinstance(found, list) else []
    return Report(
        "ses",
        tuple(told or [_told(kind, details, "")]),
        Returned(
            message_id=_text(_dict(mail, "commonHeaders"), "messageId").strip("<>"),
            return_paths=tuple(filter(None, [_text(mail, "source")])),
        ),
    )


def read_junk_report(returned: Headers) -> tuple[Told, ...]:
    """Microsoft's complaint, by the headers of the mail that was sent back; () for no such mail."""
    recipient = clean_line(returned.get("x-hmxmroriginalrecipient"), 320)
    if not recipient:
        return ()
    return (Told(ReportAction.COMPLAINED, recipient, recipient, diagnostic="Feedback-Type: abuse"),)


def _told(kind: str, details: dict[str, Any], recipient: object) -> Told:
    one = recipient if isinstance(recipient, dict) else {"emailAddress": recipient}
    action = {
        "Bounce": _bounced(details, _text(one, "action")),
        "Complaint": ReportAction.COMPLAINED,
        "Delivery": ReportAction.DELIVERED,
    }[kind]
    words = (
        _text(one, "diagnosticCode") or _text(details, "smtpResponse") or _text(details, "bounceSubType")
        or _text(details, "complaintFeedbackType")
    )  # fmt: skip
    address = clean_line(_text(one, "emailAddress"), 320)
    return Told(
        action=action,
        recipient=address,
        original=address,
        status=clean_line(_text(one, "status"), 20),
        diagnostic=clean_line(words.removeprefix("smtp;").strip(), MAX_DIAGNOSTIC_CHARS),
        server=clean_line(_text(details, "reportingMTA").removeprefix("dns;").strip(), 255),
    )


def _bounced(details: dict[str, Any], action: str) -> ReportAction:
    """Amazon tells of a "Transient" bounce when it tries no more. Only what came without a report (no `action`) may be
    a holiday notice."""
    may_be_none = details.get("bounceType") == "Transient" and not action
    return ReportAction.DELAYED if may_be_none or action == "delayed" else ReportAction.FAILED


def _dict(value: object, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: object, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
