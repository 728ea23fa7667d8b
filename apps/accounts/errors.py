"""What a caller's wish may meet with in any room.

A room's own errors are kinds of these, so that an edge knows the kind and need not know the room.
"""


class FieldInvalid(Exception):
    """It cannot be as it was asked for: `field` names what to change, `reason` says how. Edges answer 422."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class AdminsOnly(Exception):
    """The caller may see it and not change it; the text says so. Edges answer 403."""


class ReadOnly(Exception):
    """Nobody changes it from here; the text says where it is changed. Edges answer 409."""
