"""Coverage-guided fuzzing of every reader of hostile bytes, for a few minutes together; `make fuzz` takes an hour."""

from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.campaign import NAMES, fuzz

pytestmark = pytest.mark.slow

SECONDS = 15


@pytest.mark.parametrize("target", NAMES)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    run = fuzz(target, SECONDS, tmp_path)
    assert run.fault == "", f"the input is in {tmp_path}"
    assert run.tried > 0


def test_every_target_is_run() -> None:
    assert set(targets.TARGETS) | {"bounce", "smtp"} == set(NAMES)
