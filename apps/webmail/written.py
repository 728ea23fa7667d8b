"""What a person typed into the composer, read from the request. Nothing is judged here; submission does that."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, QueryDict

from apps.outbound.submission.submit import SubmittedAttachment

UNDO_SECONDS = 10
MAX_KEY_CHARS = 255
OWN_MOMENT = "own"


@dataclass(frozen=True, slots=True)
class WrittenMail:
    """A new mail or an answer as typed. `idempotency_key` makes a repeated submit the same submission.

    `mends` is the id of a refused one that this is to mend, and `kept_files` are the numbers of its files that
    were left where they are. `document` is the editor's, as JSON, "" where `text` was written without it; `draft` is
    what it was kept as, whose files go along. `quotes` is the message that stands quoted below, and `signs` the
    signature. `seen` is the newest message that the page showed, and `despite` the reminders that were answered: None
    for a page that cannot ask.
    """

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    text: str
    attachments: tuple[SubmittedAttachment, ...]
    idempotency_key: str | None
    state: str | None
    send_at: str
    cancel_if_replied: bool
    mends: str
    kept_files: frozenset[str]
    document: str = ""
    draft: str = ""
    quotes: str = ""
    signs: str = ""
    seen: str = ""
    despite: frozenset[str] | None = None


def read_written_mail(request: HttpRequest) -> WrittenMail:
    typed: QueryDict = request.POST
    return WrittenMail(
        sender=typed.get("from", ""),
        to=tuple(split_addresses(typed.get("to", ""))),
        cc=tuple(split_addresses(typed.get("cc", ""))),
        bcc=tuple(split_addresses(typed.get("bcc", ""))),
        subject=typed.get("subject", ""),
        text=typed.get("text", ""),
        attachments=tuple(_attachment(file) for file in request.FILES.getlist("files")),
        idempotency_key=typed.get("idempotency_key", "")[:MAX_KEY_CHARS] or None,
        state=typed.get("state") or None,
        send_at=_moment(typed),
        cancel_if_replied=bool(typed.get("cancel_if_replied")),
        mends=typed.get("mends", ""),
        kept_files=frozenset(typed.getlist("kept_file")),
        document=typed.get("document", ""),
        draft=typed.get("draft", ""),
        quotes=typed.get("quotes", ""),
        signs=typed.get("signs", ""),
        seen=typed.get("seen", ""),
        despite=frozenset(typed.getlist("despite")) if "reminds" in typed else None,
    )


def _moment(typed: QueryDict) -> str:
    """One of the moments offered, or the person's own. An own one that was left empty is no wish to send at once."""
    chosen = typed.get("send_at", "")
    return typed.get("send_at_own") or chosen if chosen == OWN_MOMENT else chosen


def split_addresses(typed: str) -> Iterator[str]:
    """Split at commas, semicolons and line ends, but not within a quoted name or angle brackets.

    Everything typed comes out again: what is no address must be refused with a word, not dropped in silence.
    """
    start, quoted, angled = 0, False, False
    for at, character in enumerate(typed):
        if character == '"' and (at == 0 or typed[at - 1] != "\\"):
            quoted = not quoted
        elif not quoted and character in "<>":
            angled = character == "<"
        elif not quoted and not angled and character in ",;\n":
            if part := typed[start:at].strip():
                yield part
            start = at + 1
    if part := typed[start:].strip():
        yield part


def _attachment(file: "UploadedFile[bytes]") -> SubmittedAttachment:
    return SubmittedAttachment(
        filename=file.name or "",
        content_type=file.content_type or "application/octet-stream",
        content=file.read(),
        content_id="",
    )
