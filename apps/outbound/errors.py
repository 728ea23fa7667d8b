"""What can go wrong on the road out. Each error carries the decision its catcher needs."""

import uuid


class OutboundError(Exception):
    """Anything this room raises."""


class SubmissionInvalid(OutboundError):
    """The submission cannot be sent as it is; `field` names what to change. Edges answer 422."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class IdempotencyConflict(OutboundError):
    """The idempotency key was used within a day for something else. Edges answer 409."""


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


class LimitInvalid(OutboundError):
    """A limit cannot be as it was asked for; `field` names what to change. Edges answer 422."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class LimitReadOnly(OutboundError):
    """The limit holds for everybody, and only the operator changes it. Edges answer 409."""


class LimitAdminsOnly(OutboundError):
    """The caller sees limits but may not change them. Edges answer 403."""


class RelayAddressInvalid(OutboundError):
    """A relay's URL cannot be used. The text never shows its password."""


class RelayInvalid(OutboundError):
    """A relay cannot be as it was asked for; `field` names what to change. Edges answer 422."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class RelayReadOnly(OutboundError):
    """The relay is one of RELAY_URL's, which only the environment changes. Edges answer 409."""


class RelayAdminsOnly(OutboundError):
    """The caller sees relays but may not change them. Edges answer 403."""


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
