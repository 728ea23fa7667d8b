"""Mail that arrives, without the SMTP in front of it: prepared and filed as ingest does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.projection import prepare
from apps.tickets.intake import file_message
from tests.mail import raw_mail


def arrive(
    where: Mailbox | Sequence[Mailbox],
    raw: bytes | None = None,
    *,
    at: datetime | None = None,
    envelope_sender: str | None = None,
    authentication: dict[str, Any] | None = None,
    **mail: Any,
) -> Message:
    """File one mail into a mailbox, or into several of one organisation. `mail` is what `raw_mail` takes."""
    mailboxes = [where] if isinstance(where, Mailbox) else where
    return file_message(
        prepare(raw if raw is not None else raw_mail(**mail)),
        organisation_id=mailboxes[0].organisation_id,
        mailboxes=mailboxes,
        received_at=at or timezone.now(),
        envelope_sender=envelope_sender,
        authentication=authentication,
    )
