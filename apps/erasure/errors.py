"""What can go wrong with a wish to erase."""

from apps.accounts.errors import FieldInvalid


class ErasureInvalid(FieldInvalid):
    """It cannot be as it was asked for: `field` names what to change. Edges answer 422."""
