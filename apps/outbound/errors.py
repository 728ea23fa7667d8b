"""What can go wrong on the road out. Each error carries the decision its catcher needs."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from apps.accounts.errors import FieldInvalid


class OutboundError(Exception):
    """Anything this room raises."""


class Fault(StrEnum):
    """Why a submission was refused: the codes of `RefusedSubmission.cause` and of a problem's `errors[].code`.

    An open list, like `Cause`. What a request's shape can be wrong in beyond these is named by whoever reads it.
    """

    INVALID = "invalid"
    ADDRESS_INVALID = "address_invalid"
    NO_SUCH_ADDRESS = "no_such_address"
    SENDER_NOT_YOURS = "sender_not_yours"
    NO_RECIPIENTS = "no_recipients"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    HEADER_INVALID = "header_invalid"
    HEADER_RESERVED = "header_reserved"
    FILE_NAME = "file_name"
    TIME_PASSED = "time_passed"
    TIME_TOO_FAR = "time_too_far"
    UNSUBSCRIBE_INVALID = "unsubscribe_invalid"
    UNKNOWN_MESSAGE = "unknown_message"
    NOTHING_WRITTEN = "nothing_written"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field, named as a path into what was asked: `to[1]`, `headers.X-Order`."""

    field: str
    reason: str
    fault: str = Fault.INVALID


class SubmissionInvalid(OutboundError):
    """The submission cannot be sent as it is; `faults` names all that is to change. Edges answer 422.

    `field` and `reason` are those of the first. `kept_as` is its place in the error queue, once it has one.
    """

    def __init__(self, field: str, reason: str, fault: str = Fault.INVALID) -> None:
        super().__init__(f"{field}: {reason}")
        self.faults: tuple[FieldFault, ...] = (FieldFault(field, reason, fault),)
        self.kept_as: uuid.UUID | None = None

    @classmethod
    def because(cls, faults: Sequence[FieldFault]) -> "SubmissionInvalid":
        """For several fields at once."""
        error = cls(faults[0].field, faults[0].reason, faults[0].fault)
        error.faults = tuple(faults)
        return error

    @property
    def field(self) -> str:
        return self.faults[0].field

    @property
    def reason(self) -> str:
        return self.faults[0].reason


class QuotaReached(OutboundError):
    """More recipients than the rolling day still allows. `frees_at`: when so many fit again. Edges answer 429."""

    def __init__(self, of: str, *, limit: int, used: int, asked: int, frees_at: datetime) -> None:
        super().__init__(
            f"{used} of {limit} recipients a day of the {of} are used, {asked} more were asked for"
        )
        self.of = of
        self.limit = limit
        self.used = used
        self.asked = asked
        self.frees_at = frees_at


class IdempotencyConflict(OutboundError):
    """The idempotency key was used within a day for something else. Edges answer 409."""


class SuppressionInvalid(OutboundError, FieldInvalid):
    """An address cannot be put on the list as it was asked; `field` names what to change. Edges answer 422."""


class ReportTooEarly(OutboundError):
    """A report on a delivery whose own result is not written yet. Nothing was done; come again soon."""


class NotPossibleNow(OutboundError):
    """The state of the message or delivery does not allow what was asked; the text says why. Edges answer 409."""


class NotCancellable(NotPossibleNow):
    """No recipient of the message is still waiting."""


class NotRetryable(NotPossibleNow):
    """No recipient of the message could be tried again."""


class NotResolvable(NotPossibleNow):
    """The delivery is not `uncertain` any more, or cannot become what was asked."""


class LeaseLost(OutboundError):
    """Another worker may have this delivery now. Whoever holds the older token must change nothing and send no dot."""

    def __init__(self, delivery_id: uuid.UUID) -> None:
        super().__init__(f"the lease of delivery {delivery_id} is no longer ours")
        self.delivery_id = delivery_id


class LimitInvalid(OutboundError, FieldInvalid):
    """A limit cannot be as it was asked for; `field` names what to change. Edges answer 422."""


class RelayAddressInvalid(OutboundError):
    """A relay's URL cannot be used. The text never shows its password."""


class RelayInvalid(OutboundError, FieldInvalid):
    """A relay cannot be as it was asked for; `field` names what to change. Edges answer 422."""


class ConversationError(OutboundError):
    """An SMTP conversation ended without the message having been accepted, or without our knowing.

    `phase` is the one it ended in; `public` is a sentence that may be shown to anyone who may see the delivery.
    `by_destination`: the other side was no relay of ours but the recipient's own server, or its name.
    """

    def __init__(self, phase: str, public: str, *, by_destination: bool = False) -> None:
        super().__init__(f"{phase}: {public}")
        self.phase = phase
        self.public = public
        self.by_destination = by_destination


class RelayUnavailable(ConversationError):
    """No usable conversation: no line, no TLS, nonsense, silence. Nothing was accepted; trying later is right."""


class NoRelayServes(RelayUnavailable):
    """No relay of the organisation may take this mail. Nobody was asked; somebody must change what relays are for."""

    def __init__(self, public: str) -> None:
        super().__init__("route", public)


class RelayRefused(ConversationError):
    """The server answered no. Nothing was accepted. `permanent` is RFC 5321 §4.2.1's 5yz against 4yz."""

    def __init__(
        self, phase: str, public: str, *, code: int, enhanced: str = "", by_destination: bool = False
    ) -> None:
        super().__init__(phase, public, by_destination=by_destination)
        self.code = code
        self.enhanced = enhanced

    @property
    def permanent(self) -> bool:
        return self.code >= 500


class ReplyLost(ConversationError):
    """The line broke between the final dot and its reply (RFC 1047): nobody can tell whether it was accepted."""
