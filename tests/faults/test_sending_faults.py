"""Kill, pause and starve real workers while they send: nothing is lost and nothing is doubled.

The workers are `manage.py work` processes; the test plays the schedule process by sweeping, and plays the clock by
letting leases lapse, which takes a minute otherwise. What counts is what the other side's server took.
"""

import time
from functools import partial

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.outbound.models import Delivery, DeliveryState
from apps.outbound.services import resolve_uncertain
from apps.outbound.wire.envelope import Timeouts
from tests.faults.working import WorkProcess, counts, let_leases_lapse, sweep_until
from tests.outbound.sending import send
from tests.people import House
from tests.polling import wait_until
from tests.remote.script import Phase
from tests.remote.server import RemoteServer
from tests.servers import Servers

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def recipients(count: int) -> list[str]:
    return [f"customer{n}@x.example" for n in range(count)]


def has_taken(relay: RemoteServer, count: int) -> bool:
    return len(relay.messages) >= count


def test_a_worker_killed_before_the_fence_loses_and_doubles_nothing(
    house: House, relay: RemoteServer
) -> None:
    send(house.as_key, *recipients(20))
    stall = relay.stall(Phase.DATA, recipient=None)
    with WorkProcess(relay.url) as first:
        stall.wait_reached()
        sweep_until(lambda: counts().get("sent") == 19, what="the others are sent meanwhile")
        first.kill()
    stall.release()
    let_leases_lapse()
    with WorkProcess(relay.url):
        sweep_until(lambda: counts() == {"sent": 20}, what="the one that was held up is sent")
    assert relay.taken_by_recipient == dict.fromkeys(recipients(20), 1)


@pytest.mark.parametrize("took_it", [True, False])
def test_a_worker_killed_after_the_fence_leaves_one_uncertain_and_doubles_nothing(
    house: House, relay: RemoteServer, *, took_it: bool
) -> None:
    send(house.as_key, *recipients(20))
    stall = relay.stall(Phase.DOT, recipient="customer7@x.example", taking=took_it)
    with WorkProcess(relay.url) as first:
        stall.wait_reached()
        sweep_until(lambda: counts().get("sent") == 19, what="the others are sent meanwhile")
        first.kill()
    let_leases_lapse()
    with WorkProcess(relay.url) as second:
        sweep_until(lambda: counts() == {"sent": 19, "uncertain": 1}, what="the lapsed one is uncertain")
        assert second.stop() == 0
    assert Delivery.objects.get(state=DeliveryState.UNCERTAIN).recipient == "customer7@x.example"
    taken = relay.taken_by_recipient
    assert taken.pop("customer7@x.example", 0) == int(took_it)
    assert taken == {one: 1 for one in recipients(20) if one != "customer7@x.example"}
    if not took_it:
        stall.release()
        relay.wait_left_alone()


def test_workers_killed_again_and_again_while_sending_lose_and_double_nothing(
    house: House, relay: RemoteServer
) -> None:
    send(house.as_key, *recipients(400))
    relay.behave(latency_seconds=0.02)
    for enough in (60, 120, 180):
        with WorkProcess(relay.url) as victim:
            sweep_until(partial(has_taken, relay, enough), what="it is in the middle of sending")
            victim.kill()
        relay.wait_left_alone()
        let_leases_lapse()
    with WorkProcess(relay.url):
        sweep_until(lambda: counts().keys() <= {"sent", "uncertain"}, what="everything has come to an end")
    taken = relay.taken_by_recipient
    assert set(taken.values()) == {1}
    for delivery in Delivery.objects.all():
        if delivery.state == DeliveryState.SENT:
            assert taken[delivery.recipient] == 1
    assert sum(counts().values()) == 400


def test_a_worker_that_slept_through_its_lease_sends_no_dot(house: House, relay: RemoteServer) -> None:
    send(house.as_key, "elena@x.example")
    stall = relay.stall(Phase.DATA)
    with WorkProcess(relay.url) as sleeper:
        stall.wait_reached()
        sleeper.pause()
        let_leases_lapse()
        with WorkProcess(relay.url):
            sweep_until(lambda: counts() == {"sent": 1}, what="another worker sends it")
        stall.release()
        sleeper.go_on()
        wait_until(lambda: "lease_lost" in sleeper.log(), what="the sleeper finds that it has lost its lease")
        relay.wait_left_alone()
    assert relay.taken_by_recipient == {"elena@x.example": 1}
    assert counts() == {"sent": 1}


def test_a_worker_stopped_at_the_fence_itself_sends_no_dot_once_somebody_else_may_have_sent_it(
    house: House, relay: RemoteServer
) -> None:
    """PostgreSQL has let it pass, but it sleeps before it hears so; meanwhile a person decides."""
    send(house.as_key, "elena@x.example")
    before_the_fence = relay.stall(Phase.DATA)
    with WorkProcess(relay.url) as sleeper:
        before_the_fence.wait_reached()
        with transaction.atomic():
            Delivery.objects.select_for_update().get()
            before_the_fence.release()
            wait_until(is_fencing, what="it waits for the row at its fence")
            sleeper.pause()
        wait_until(
            lambda: Delivery.objects.filter(phase="committing").exists(), what="PostgreSQL let it pass"
        )
        asleep_since = time.monotonic()
        sweep_until(nobody_can_tell_once_leases_lapse, what="nobody can tell")
        resolve_uncertain(house.as_key, Delivery.objects.get(), DeliveryState.QUEUED, timezone.now())
        with WorkProcess(relay.url):
            sweep_until(lambda: counts() == {"sent": 1}, what="another worker sends it")
        wait_until(lambda: time.monotonic() - asleep_since > Timeouts().fence, what="it sleeps long enough")
        sleeper.go_on()
        wait_until(lambda: "lease_lost" in sleeper.log(), what="the sleeper finds that it has lost its lease")
        relay.wait_left_alone()
    assert relay.taken_by_recipient == {"elena@x.example": 1}
    assert counts() == {"sent": 1}


def nobody_can_tell_once_leases_lapse() -> bool:
    let_leases_lapse()
    return counts() == {"uncertain": 1}


def is_fencing() -> bool:
    with connection.cursor() as cursor:
        # Who does what is remembered for the length of a transaction, and the caller is in one.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%SET phase = ''committing''%')"
        )
        (waits,) = cursor.fetchone()
    return bool(waits)


def test_an_answer_that_comes_after_the_lease_decides_what_was_uncertain(
    house: House, relay: RemoteServer
) -> None:
    send(house.as_key, "elena@x.example")
    stall = relay.stall(Phase.DOT)
    with WorkProcess(relay.url) as sleeper:
        stall.wait_reached()
        sleeper.pause()
        let_leases_lapse()
        sweep_until(lambda: counts() == {"uncertain": 1}, what="nobody can tell while it sleeps")
        stall.release()
        sleeper.go_on()
        wait_until(lambda: counts() == {"sent": 1}, what="the server's answer is heard in the end")
    assert relay.taken_by_recipient == {"elena@x.example": 1}


def test_a_worker_told_to_end_gives_back_what_it_has(house: House, relay: RemoteServer) -> None:
    send(house.as_key, *recipients(3))
    stall = relay.stall(Phase.DATA, recipient=None)
    with WorkProcess(relay.url) as one:
        stall.wait_reached()
        sweep_until(lambda: counts().get("sent") == 2, what="the others are sent meanwhile")
        assert one.stop() == 0
    assert Delivery.objects.exclude(state="sent").get().cause == "worker_stopped"
    with WorkProcess(relay.url):
        sweep_until(
            lambda: counts() == {"sent": 3}, what="the next worker sends it without any lease lapsing"
        )
    assert set(relay.taken_by_recipient.values()) == {1}


def test_a_redis_that_forgets_every_wake_up_loses_nothing(
    house: House, relay: RemoteServer, servers: Servers
) -> None:
    for recipient in recipients(30):
        send(house.as_key, recipient)
    servers.valkey.flush()
    with WorkProcess(relay.url):
        assert relay.messages == []
        sweep_until(lambda: counts() == {"sent": 30}, what="the sweeper finds them all")
    assert relay.taken_by_recipient == dict.fromkeys(recipients(30), 1)


def test_mail_is_taken_while_redis_is_down_and_sent_when_it_is_back(
    house: House, relay: RemoteServer, servers: Servers
) -> None:
    servers.valkey.kill()
    send(house.as_key, "elena@x.example")
    assert counts() == {"queued": 1}
    servers.valkey.restart()
    with WorkProcess(relay.url):
        sweep_until(lambda: counts() == {"sent": 1}, what="it is sent")
    assert relay.taken_by_recipient == {"elena@x.example": 1}


def test_a_restart_of_postgresql_while_sending_loses_and_doubles_nothing(
    house: House, relay: RemoteServer, servers: Servers
) -> None:
    send(house.as_key, *recipients(300))
    relay.behave(latency_seconds=0.02)
    with WorkProcess(relay.url) as one:
        sweep_until(lambda: len(relay.messages) >= 60, what="it is in the middle of sending")
        servers.postgres.restart()
        sweep_until(lambda: not counts().keys() - {"sent", "sending"}, what="what was not claimed is sent")
        # A claim whose commit was answered by nobody is held by no one, and waits for its lease to end.
        let_leases_lapse()
        sweep_until(lambda: counts() == {"sent": 300}, what="everything is sent")
        assert one.is_running
    assert relay.taken_by_recipient == dict.fromkeys(recipients(300), 1)
