"""From messages to what goes over the line: bytes of many read in one go, signed, made fit for the line, once each.

Runs in a database thread, before any conversation about the message begins. A message whose bytes cannot be had gets
its error; the others get their payloads.
"""

import uuid
from collections.abc import Sequence

from django.utils import timezone

from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.blobs.selectors import read_many
from apps.mailboxes.models import Message
from apps.outbound.draining.database_threads import DATABASE_AWAY
from apps.outbound.signing.sending import signed_for_sending
from apps.outbound.wire.payload import Payload


def read_payloads(message_ids: Sequence[uuid.UUID]) -> list[Payload | Exception]:
    """For each message its payload, or BlobMissing or ObjectStoreUnavailable."""
    messages = (
        Message.objects.select_related("raw")
        .only("organisation_id", "sender_address", "received_at", "raw__stored_at", "raw__size_bytes")
        .in_bulk(list(message_ids))
    )
    try:
        contents = read_many([message.raw for message in messages.values()])
    except (BlobMissing, ObjectStoreUnavailable) as error:
        if len(message_ids) == 1:
            return [error]
        # One of them spoils the lot; each is told what is true of it.
        return [one for message_id in message_ids for one in read_payloads([message_id])]
    try:
        signed = signed_for_sending(
            {message: contents[message.raw_id] for message in messages.values()}, timezone.now()
        )
    except DATABASE_AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - a message that cannot be signed must not keep the others waiting
        if len(message_ids) == 1:
            return [error]
        return [one for message_id in message_ids for one in read_payloads([message_id])]
    return [Payload.of(signed[one]) for one in message_ids]
