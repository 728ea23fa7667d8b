"""Recognise what a message is by its structure and headers, never by its prose."""

from collections.abc import Sequence

from apps.mime.headers import Headers
from apps.mime.message import MessageKind
from apps.mime.words import decode_words

# RFC 6522 and the reports built on it: DSN (RFC 3464), ARF (RFC 5965), MDN (RFC 8098).
_REPORTS = {
    "feedback-report": MessageKind.COMPLAINT,
    "delivery-status": MessageKind.BOUNCE,
    "disposition-notification": MessageKind.RECEIPT,
}
_AUTO_REPLY_HEADERS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponse",
    "x-auto-reply",
    "x-mail-autoreply",
    # Exchange marks what an inbox rule made, and what a rule or an absence assistant answers (MS-OXCMAIL)
    "x-ms-exchange-inbox-rules-loop",
)
_AUTO_REPLY_PRECEDENCE = frozenset({"auto_reply", "auto-reply"})
_EXCHANGE_AGENTS = frozenset({"mailbox rules agent", "ooftemplate", "antispam auto reply"})
# What absence assistants put before the subject of the mail they answer. Said in prose it means nothing: it counts only
# beside a header that programs write (`_may_be_automatic`).
_ABSENCE = (
    "automatic reply:", "autoreply:", "auto:", "out of office", "out-of-office", "automatische antwort:",
    "abwesenheitsnotiz", "abwesend:", "réponse automatique", "absence du bureau", "respuesta automática",
    "fuera de la oficina", "risposta automatica:", "fuori sede", "resposta automática", "ausência temporária",
    "automatisch antwoord:", "afwezigheidsbericht", "autosvar:", "automatiskt svar:", "automatisk svar:",
    "automaattinen vastaus:", "poissa", "automatyczna odpowiedź", "odpowiedź automatyczna", "automatická odpověď",
    "автоответ", "автоматический ответ", "自动答复", "自動応答", "不在通知",
)  # fmt: skip
# RFC 2919 and what list programs wrote before it: ezmlm, Majordomo's heirs, Mailman, fml.
_LIST_HEADERS = (
    "list-id",
    "list-post",
    "mailing-list",
    "x-mailing-list",
    "x-mailman-version",
    "x-mlserver",
)


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
    if any(headers.has(name) for name in _LIST_HEADERS) or _precedence(headers) == "list":
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
    if _precedence(headers) in _AUTO_REPLY_PRECEDENCE:
        return True
    if headers.get("x-ms-exchange-generated-message-source").strip().lower() in _EXCHANGE_AGENTS:
        return True
    if _may_be_automatic(headers, auto_submitted) and _announces_absence(headers):
        return True
    values = [headers.get(name).strip().lower() for name in _AUTO_REPLY_HEADERS]
    return any(value and value != "no" for value in values)


def _may_be_automatic(headers: Headers, auto_submitted: str) -> bool:
    """A program's header beside it: Exchange sends absences as auto-generated, and asks for no answer to them."""
    asked = {word.strip() for word in headers.get("x-auto-response-suppress").lower().split(",")}
    return (
        auto_submitted != "no"
        or bool(asked & {"all", "oof", "autoreply"})
        or _precedence(headers) in {"bulk", "junk"}
        or headers.get("return-path").strip() == "<>"
    )


def _announces_absence(headers: Headers) -> bool:
    return decode_words(headers.get("subject")[:500]).strip().lower().startswith(_ABSENCE)


def _precedence(headers: Headers) -> str:
    return headers.get("precedence").strip().lower()


def read_auto_submitted(headers: Headers) -> str:
    """The Auto-Submitted keyword in lower case, "no" when the field is absent (RFC 3834 §5)."""
    value = headers.get("auto-submitted").partition(";")[0].partition("(")[0].strip().lower()
    return value[:60] or "no"
