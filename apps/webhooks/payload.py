"""What is pushed: ids and the kind of event, signed as Standard Webhooks 1.0 has it.

No address, subject or text leaves this way: whoever may read them fetches them over REST with a key. The same event
has the same `webhook-id` at every try and the same body, so that a receiver can drop repetitions; the timestamp and
the signature are of the try.
"""

import base64
import json
import secrets
from datetime import datetime

import standardwebhooks

from apps.events.models import Event

SECRET_PREFIX = "whsec_"  # noqa: S105  the scheme's, in front of every secret
SECRET_BYTES = 32
USER_AGENT = "mailplatform-webhooks/1"


def make_secret() -> bytes:
    """Standard Webhooks asks for 24 to 64 random bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def shown_secret(secret: bytes) -> str:
    """As integrators keep it, and as their libraries read it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def body_of(event: Event) -> bytes:
    """The same bytes at every try."""
    ids = {"message": event.message_id, "ticket": event.ticket_id, "delivery": event.delivery_id}
    content = {
        "type": event.kind,
        "timestamp": event.created_at.isoformat(),
        "data": {"event": event.pk} | {name: str(value) if value else None for name, value in ids.items()},
    }
    return json.dumps(content, separators=(",", ":")).encode()


def headers_of(event: Event, body: bytes, secret: bytes, now: datetime) -> dict[str, str]:
    webhook_id = f"evt_{event.pk}"
    signature = standardwebhooks.Webhook(secret).sign(webhook_id, now, body.decode())
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
