"""Mail that arrives, without the SMTP in front of it: prepared and filed as ingest does."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.projection import prepare
from apps.tickets.intake import file_message
from tests.mail import raw_mail


def arrive(mailboxes: Sequence[Mailbox], raw: bytes | None = None, **mail: Any) -> Message:
    """File one mail into these mailboxes of one organisation. `mail` is what `raw_mail` takes."""
    prepared = prepare(raw if raw is not None else raw_mail(**mail))
    return file_message(
        prepared,
        organisation_id=mailboxes[0].organisation_id,
        mailboxes=mailboxes,
        received_at=timezone.now(),
    )
