"""Gathers what is wrong with a submission, so that a person mends all of it in one go."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from apps.outbound.errors import Fault, FieldFault, SubmissionInvalid

# A thousand wrong recipients are told by the first of them.
MAX_TOLD = 50

P = ParamSpec("P")
T = TypeVar("T")


class Faults:
    """What was found so far."""

    def __init__(self) -> None:
        self._found: list[FieldFault] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, field: str, reason: str, fault: Fault = Fault.INVALID) -> None:
        self._found.append(FieldFault(field, reason, fault))

    def of(self, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What a check answers; None when it raised SubmissionInvalid, whose faults are then among ours."""
        try:
            return check(*args, **kwargs)
        except SubmissionInvalid as error:
            self._found += error.faults
            return None

    def raise_any(self) -> None:
        if self._found:
            raise SubmissionInvalid.because(self._found[:MAX_TOLD])
