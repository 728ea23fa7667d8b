"""What a caller asks to have sent, as it was asked: nothing is checked yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.mime.compose import CalendarPart, Unsubscribe


@dataclass(frozen=True, slots=True)
class SubmittedAttachment:
    """A file as the caller gave it. With a `content_id` the HTML may show it as `cid:…`."""

    filename: str
    content_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """A message as the caller wrote it: addresses as strings.

    `in_reply_to` is a Message-ID or the id of a message the caller may see. `hold_seconds` is the undo window.
    `priority` is "", high, normal, low or bulk; the last two go the slow lane. `cancel_if_replied`: whoever still waits
    for it does not get it once somebody has answered in the conversation. `auto_submitted` is RFC 3834's keyword for
    what no person wrote; no edge takes it from a caller. `reply_token`: answers are asked for at an address that names
    this mail (`mailboxes.message_ids`), unless `reply_to` says where. `calendar` is an answer to an invitation; it
    is not kept with what was refused: the invitation is answered again.
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
    cancel_if_replied: bool = False
    unsubscribe: Unsubscribe | None = None
    calendar: CalendarPart | None = None
    auto_submitted: str = ""
    reply_token: bool = False

    @property
    def recipients_asked(self) -> int:
        return len(self.to) + len(self.cc) + len(self.bcc)
