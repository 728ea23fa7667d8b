import dramatiq
import pytest

from apps.automation.acknowledge import ACKNOWLEDGE
from apps.events import wakeups
from apps.events.wakeups import WakeUp
from apps.inbound.wakeups import INGEST, READ_AGAIN
from apps.outbound.models import Lane
from apps.outbound.wakeups import wake_up
from apps.tickets.spam import LEARN
from apps.webhooks.queue import PUSH

LANE = WakeUp("queue", "actor", "lane")


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Queue, actor and word of each wake-up that was told."""
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        dramatiq.get_broker(),
        "enqueue",
        lambda message: told.append((message.queue_name, message.actor_name, *message.args)),
    )
    LANE.answer()
    return told


def test_a_call_is_made_once_until_somebody_comes(woken: list[tuple[str, ...]]) -> None:
    other = WakeUp("queue", "actor", "other")
    other.answer()
    LANE.call()
    LANE.call()
    assert woken == [("queue", "actor", "lane")]
    other.call()
    assert woken == [("queue", "actor", "lane"), ("queue", "actor", "other")]
    LANE.answer()
    LANE.call()
    assert len(woken) == 3


def test_two_actors_that_share_a_queue_are_called_each_for_itself(woken: list[tuple[str, ...]]) -> None:
    neighbour = WakeUp("queue", "neighbour", "lane")
    neighbour.answer()
    LANE.call()
    neighbour.call()
    assert woken == [("queue", "actor", "lane"), ("queue", "neighbour", "lane")]


def test_a_call_that_nobody_answers_is_made_again_after_a_while(
    woken: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "UNANSWERED_SECONDS", 0.001)
    for _look in range(1000):
        LANE.call()
    assert len(woken) > 1


def test_whoever_wakes_is_not_troubled_by_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_message: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(dramatiq.get_broker(), "enqueue", away)
    LANE.send()


@pytest.mark.parametrize("wakes", [INGEST, READ_AGAIN, LEARN, ACKNOWLEDGE, PUSH, wake_up(Lane.BULK)])
def test_each_wake_up_names_an_actor_that_there_is(wakes: WakeUp) -> None:
    assert dramatiq.get_broker().get_actor(wakes.actor).queue_name == wakes.queue
