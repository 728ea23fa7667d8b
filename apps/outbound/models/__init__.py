"""The rows of the road out, one noun to a module."""

from apps.outbound.models.idempotency import (
    IdempotencyKey,
)
from apps.outbound.models.policy import (
    EncryptedArchives,
    SendingPolicy,
)
from apps.outbound.models.queue import (
    IN_ERROR,
    LEAST_FINISHED_FIRST,
    UNFINISHED,
    WAITING,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Lane,
    Phase,
    RecipientField,
    Route,
)
from apps.outbound.models.relays import (
    Relay,
    RelaySecurity,
)
from apps.outbound.models.signing import (
    KeyAlgorithm,
    KeyState,
    MessageSignature,
    SigningKey,
)

__all__ = [
    "IN_ERROR",
    "LEAST_FINISHED_FIRST",
    "UNFINISHED",
    "WAITING",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryState",
    "EncryptedArchives",
    "IdempotencyKey",
    "KeyAlgorithm",
    "KeyState",
    "Lane",
    "MessageSignature",
    "Phase",
    "RecipientField",
    "Relay",
    "RelaySecurity",
    "Route",
    "SendingPolicy",
    "SigningKey",
]
