"""Read a feedback report (ARF, RFC 5965): a recipient pressed "this is spam", and their provider tells the sender.

Not every report of that form is a complaint: "not-spam" (RFC 6430) is the contrary, and "auth-failure" (RFC 6591) is
about DMARC; those are noted and change nothing. Bounded, never raises.
"""

from apps.mime.clean import clean_line
from apps.mime.headers import Headers, read_headers
from apps.outbound.bounces.delivery_status import address_of
from apps.outbound.bounces.report import MAX_RECIPIENTS, Told
from apps.outbound.models import ReportAction

MAX_BYTES = 64 * 1024

# RFC 5965 §7.3 and the IANA registry that grew from it; "opt-out" is Yahoo's and Comcast's, "complaint" is in the wild.
_TYPES = {
    "abuse": ReportAction.COMPLAINED,
    "fraud": ReportAction.COMPLAINED,
    "complaint": ReportAction.COMPLAINED,
    "opt-out": ReportAction.UNSUBSCRIBED,
    "opt-out-list": ReportAction.UNSUBSCRIBED,
}


def read_feedback(data: bytes) -> tuple[tuple[Told, ...], str]:
    """What a message/feedback-report body tells of each recipient, and the envelope sender it quotes, or ""."""
    fields, _end = read_headers(data[:MAX_BYTES], 0, min(len(data), MAX_BYTES))
    kind = fields.get("feedback-type").strip().lower()
    action = _TYPES.get(kind, ReportAction.NOTED)
    reporter = clean_line(fields.get("user-agent"), 100)
    words = f"Feedback-Type: {clean_line(kind, 60) or 'unnamed'}"
    recipients = _recipients(fields) or [""]
    told = tuple(
        Told(action=action, recipient=one, original=one, diagnostic=words, server=reporter)
        for one in recipients[:MAX_RECIPIENTS]
    )
    return told, address_of(fields.get("original-mail-from"))


def _recipients(fields: Headers) -> list[str]:
    # RFC 5965 §3.2: Original-Rcpt-To may occur more than once; providers that hide people leave it out.
    values = [*fields.all("original-rcpt-to"), *fields.all("removal-recipient")]
    found = [address_of(value) for value in values]
    return list(dict.fromkeys(one for one in found if "@" in one))
