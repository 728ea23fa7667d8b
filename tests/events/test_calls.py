import pytest
from django.core.cache import cache

from apps.events import calls
from apps.events.calls import answer_call, may_call


@pytest.fixture(autouse=True)
def _nobody_called() -> None:
    cache.clear()


def test_a_call_is_made_once_until_somebody_comes() -> None:
    assert may_call("lane")
    assert not may_call("lane")
    assert may_call("other")
    answer_call("lane")
    assert may_call("lane")


def test_a_call_that_nobody_answers_is_made_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "UNANSWERED_SECONDS", 0.001)
    assert may_call("lane")
    assert any(may_call("lane") for _ in range(1000))
