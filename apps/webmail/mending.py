"""A refused submission opened in the composer, and what is sent when the person presses Send.

The composer shows the people, the subject, the text and the files. What it does not show (a program's headers, tags,
metadata) goes along as it was, unless it is what was refused: that is left out, and the page says so. The HTML goes
along as long as the text says what it said: whoever changes the text sends the text, which the page says too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext_lazy

from apps.blobs.selectors import read
from apps.mime.compose import Unsubscribe
from apps.outbound.models import RefusedSubmission
from apps.outbound.submission.asked import Submission, SubmittedAttachment
from apps.outbound.submission.refused import KeptFile, asked_without_files, kept_files
from apps.webmail.written import WrittenMail

_LABELS = {
    "from": gettext_lazy("From"),
    "to": gettext_lazy("To"),
    "cc": gettext_lazy("Cc"),
    "bcc": gettext_lazy("Bcc"),
    "reply_to": gettext_lazy("Reply-To"),
    "subject": gettext_lazy("Subject"),
    "text": gettext_lazy("Text"),
    "attachments": gettext_lazy("Files"),
    "send_at": gettext_lazy("Send later"),
}
SHOWN = ("from", "to", "cc", "bcc", "subject", "text", "attachments", "send_at", "state")


@dataclass(frozen=True, slots=True)
class Fault:
    """Where it is wrong, and what: `field` is the composer's name for it, "" for what the composer does not show."""

    field: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mending:
    """What the composer is filled with. `lines` are its fields; `left_out` what cannot go along."""

    refused: RefusedSubmission
    lines: Mapping[str, str]
    files: list[KeptFile]
    faults: list[Fault]
    has_html: bool
    cancels_if_replied: bool

    @property
    def wrong(self) -> dict[str, str]:
        """The first fault of each field."""
        return {fault.field: fault.reason for fault in reversed(self.faults) if fault.field}

    @property
    def left_out(self) -> list[Fault]:
        return [fault for fault in self.faults if not fault.field]


def open_for_mending(refused: RefusedSubmission) -> Mending:
    """Raises ObjectStoreUnavailable or BlobMissing."""
    asked = _asked(refused)
    lines = {name: ", ".join(_texts(asked.get(name))) for name in ("to", "cc", "bcc")}
    lines |= {name: _text(asked.get(name)) for name in ("from", "subject", "text")}
    return Mending(
        refused=refused,
        lines=lines,
        files=kept_files(refused),
        faults=[_fault(one) for one in refused.faults],
        has_html=bool(_text(asked.get("html"))),
        cancels_if_replied=asked.get("cancel_if_replied") is True,
    )


def mended(written: WrittenMail, refused: RefusedSubmission, plain: Submission) -> Submission:
    """`plain`, which is what the person wrote, with what the composer does not show and with the files they left."""
    asked = _asked(refused)
    faulty = {fault.path for fault in map(_fault, refused.faults) if not fault.field}
    faulty_names = {path.partition("[")[0].partition(".")[0] for path in faulty}
    headers = asked.get("headers")
    kept: dict[str, Any] = {
        "headers": tuple(
            (name, value)
            for name, value in (headers.items() if isinstance(headers, dict) else ())
            if isinstance(value, str) and f"headers.{name}" not in faulty
        ),
        "reply_to": tuple(_texts(asked.get("reply_to"))),
        "html": html_left(written, refused),
        "in_reply_to": _text(asked.get("in_reply_to")),
        "priority": _text(asked.get("priority")),
        "tags": tuple(_texts(asked.get("tags"))),
        "metadata": asked.get("metadata") if isinstance(asked.get("metadata"), dict) else {},
        "unsubscribe": _unsubscribe(asked.get("list_unsubscribe")),
    }
    along = {
        name: value for name, value in kept.items() if name == "headers" or _told(name) not in faulty_names
    }
    return replace(plain, attachments=(*files_left(written, refused), *plain.attachments), **along)


def html_left(written: WrittenMail, refused: RefusedSubmission) -> str:
    """The HTML of the refused submission, where it still says what the text says."""
    asked = _asked(refused)
    is_same = _lines(written.text) == _lines(_text(asked.get("text")))
    return _text(asked.get("html")) if is_same else ""


def _lines(text: str) -> str:
    """A browser sends CR LF for every line end of a form."""
    return text.replace("\r\n", "\n").strip()


def files_left(written: WrittenMail, refused: RefusedSubmission) -> tuple[SubmittedAttachment, ...]:
    """The files of the refused submission that the person did not take away."""
    asked = _asked(refused).get("attachments")
    described = asked if isinstance(asked, list) else []
    return tuple(
        SubmittedAttachment(
            filename=file.filename,
            content_type=_text(described[file.n].get("content_type")) or "application/octet-stream",
            content=read(file.content),
            content_id=_text(described[file.n].get("content_id")),
        )
        for file in kept_files(refused)
        if str(file.n) in written.kept_files
    )


def field_label(path: str) -> str:
    """A field as a person knows it; as the program wrote it where only a program writes it."""
    name = path.partition("[")[0].partition(".")[0]
    return str(_LABELS.get(name, path))


def _asked(refused: RefusedSubmission) -> dict[str, Any]:
    asked = asked_without_files(refused)
    return asked if isinstance(asked, dict) else {}


def _fault(told: Mapping[str, str]) -> Fault:
    name = told["field"].partition("[")[0].partition(".")[0]
    field = {"attachments": "files"}.get(name, name) if name in SHOWN else ""
    return Fault(field, told["field"], told["detail"])


def _told(name: str) -> str:
    return {"unsubscribe": "list_unsubscribe"}.get(name, name)


def _unsubscribe(value: Any) -> Unsubscribe | None:
    if not isinstance(value, dict):
        return None
    return Unsubscribe(_text(value.get("url")), _text(value.get("mailto")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
