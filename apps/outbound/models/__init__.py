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
from apps.outbound.models.quotas import (
    QuotaUse,
)
from apps.outbound.models.refused import (
    RefusedFile,
    RefusedSubmission,
)
from apps.outbound.models.relays import (
    CertificatePolicy,
    Relay,
    RelayKind,
    RelaySecurity,
)
from apps.outbound.models.reports import (
    DeliveryNotice,
    DeliveryReport,
    NoticeKind,
    ReportAction,
    ReportProof,
)
from apps.outbound.models.screening import (
    OutgoingScreening,
    ScreeningOutcome,
)
from apps.outbound.models.signing import (
    KeyAlgorithm,
    KeyState,
    MessageSignature,
    SigningKey,
)
from apps.outbound.models.suppressions import (
    Suppression,
    SuppressionReason,
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
    "DeliveryNotice",
    "DeliveryReport",
    "DeliveryState",
    "EncryptedArchives",
    "IdempotencyKey",
    "KeyAlgorithm",
    "KeyState",
    "Lane",
    "LimitScope",
    "MessageSignature",
    "NoticeKind",
    "OutgoingScreening",
    "Phase",
    "QuotaUse",
    "RecipientField",
    "RefusedFile",
    "RefusedSubmission",
    "Relay",
    "RelayKind",
    "RelaySecurity",
    "ReportAction",
    "ReportProof",
    "Route",
    "ScreeningOutcome",
    "SendingLimit",
    "SendingPolicy",
    "SigningKey",
    "Suppression",
    "SuppressionReason",
]
