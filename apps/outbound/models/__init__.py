"""The rows of the road out, one noun to a module."""

from apps.outbound.models.idempotency import (
    IdempotencyKey,
)
from apps.outbound.models.limits import (
    EACH,
    LimitScope,
    SendingLimit,
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
    CertificatePolicy,
    Relay,
    RelayKind,
    RelaySecurity,
)

__all__ = [
    "EACH",
    "IN_ERROR",
    "LEAST_FINISHED_FIRST",
    "UNFINISHED",
    "WAITING",
    "CertificatePolicy",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryState",
    "EncryptedArchives",
    "IdempotencyKey",
    "Lane",
    "LimitScope",
    "Phase",
    "RecipientField",
    "Relay",
    "RelayKind",
    "RelaySecurity",
    "Route",
    "SendingLimit",
    "SendingPolicy",
]
