"""What can go wrong with rules."""


class AutomationError(Exception):
    """Anything this room raises."""


class RuleInvalid(AutomationError):
    """A rule that cannot be kept; `field` names what to change. Edges answer 422."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
