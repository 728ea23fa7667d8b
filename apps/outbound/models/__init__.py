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
from apps.outbound.models.reports import (
    DeliveryNotice,
    DeliveryReport,
    NoticeKind,
    ReportAction,
    ReportProof,
)
from apps.outbound.models.suppressions import (
    Suppression,
    SuppressionReason,
)

__all__ = [
    "IN_ERROR",
    "LEAST_FINISHED_FIRST",
    "UNFINISHED",
    "WAITING",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryNotice",
    "DeliveryReport",
    "DeliveryState",
    "EncryptedArchives",
    "IdempotencyKey",
    "Lane",
    "NoticeKind",
    "Phase",
    "RecipientField",
    "Relay",
    "RelaySecurity",
    "ReportAction",
    "ReportProof",
    "Route",
    "SendingPolicy",
    "Suppression",
    "SuppressionReason",
]
