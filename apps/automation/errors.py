"""What can go wrong with rules."""

from apps.accounts.errors import FieldInvalid


class AutomationError(Exception):
    """Anything this room raises."""


class RuleInvalid(AutomationError, FieldInvalid):
    """A rule that cannot be kept; `field` names what to change. Edges answer 422."""
