"""Everything goes wrong while thousands are sent, and the other side's count is compared with ours.

Workers are killed again and again while a conversation stands at each phase in turn, before and after the fence; in
between Redis forgets everything, PostgreSQL is restarted, and S3 is stopped for a while, with bytes that are nowhere
else. Afterwards every recipient is `sent`, or `uncertain` because a kill hit its conversation between the fence and the
recorded result; the other side has each Message-ID for each recipient at most once, and once where we say `sent`.
"""

import email
import email.policy
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.offloading import offload
from apps.outbound.models import Delivery, DeliveryState
from tests.faults.working import WorkProcess, counts, let_leases_lapse, sweep_until
from tests.outbound.sending import send
from tests.people import House
from tests.polling import wait_until
from tests.remote.script import Phase
from tests.remote.server import RemoteServer
from tests.servers import Servers

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

# Where a conversation stands when its worker is killed: the phase, and whether the server has taken the message.
PHASES = (
    (Phase.MAIL, False),
    (Phase.DATA, False),
    (Phase.BODY, False),
    (Phase.DOT, False),
    (Phase.DOT, True),
    (None, False),
)
EACH = 50


@dataclass
class Tally:
    """What was done to the platform, and what it did."""

    kills: Counter[str] = field(default_factory=Counter)
    hit: set[UUID] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def show(self, recipients: int, taken: "Counter[tuple[str, str]]") -> str:
        states = counts()
        doubled = sum(copies > 1 for copies in taken.values())
        lost = recipients - len(taken) - states.get("uncertain", 0)
        rows = [
            ("recipients", recipients),
            ("workers killed", sum(self.kills.values())),
            *((f"  at {phase}", times) for phase, times in sorted(self.kills.items())),
            ("conversations hit between fence and result", len(self.hit)),
            *((fault, 1) for fault in self.faults),
            ("taken by the other side, by (Message-ID, recipient)", len(taken)),
            *(sorted(states.items())),
            ("lost", max(0, lost)),
            ("doubled", doubled),
        ]
        return "\n" + "\n".join(f"{name:<54} {value:>6}" for name, value in rows)


class Workers:
    """Two at a time, so that the next one is at work while the last one is being killed."""

    def __init__(self, relay_url: str) -> None:
        self._relay_url = relay_url
        self._running: list[WorkProcess] = []

    def fill(self) -> None:
        while len(self._running) < 2:
            self._running.append(WorkProcess(self._relay_url, "-m", "tests.faults.modest_work"))

    def kill_one(self) -> None:
        self._running.pop(0).kill()

    def kill_all(self) -> None:
        while self._running:
            self.kill_one()


@contextmanager
def workers_at(relay: RemoteServer) -> Iterator[Workers]:
    workers = Workers(relay.url)
    try:
        yield workers
    finally:
        workers.kill_all()
        relay.forget_script()


def wreak_havoc(house: House, relay: RemoteServer, servers: Servers, *, recipients: int, kills: int) -> str:
    """Send to so many while so many workers are killed; the table, after all has been found in order."""
    for start in range(0, recipients, EACH):
        send(house.as_key, *(f"c{n}@d{n % 40}.example" for n in range(start, start + EACH)))
    relay.behave(latency_seconds=0.01)
    chance = random.Random(4711)  # noqa: S311 - the same chaos each time
    tally = Tally()
    between = recipients * 0.8 / kills
    faults = {kills // 5: flush_redis, kills * 2 // 5: restart_postgres, kills * 3 // 5: stop_s3}
    with workers_at(relay) as workers:
        for kill in range(kills):
            workers.fill()
            if kill in faults:
                faults[kill](servers, tally)
            elif not servers.s3.is_running and kill >= kills * 7 // 10:
                servers.s3.restart()
            if servers.s3.is_running:
                wait_taken(relay, int(between * (kill + chance.random())))
                kill_at(relay, workers, tally, *PHASES[kill % len(PHASES)])
            else:
                sweep_until(is_waiting_for_s3, what="somebody misses the bytes")
                kill_at(relay, workers, tally, None, taking=False)
        if not servers.s3.is_running:
            servers.s3.restart()
        workers.fill()
        settle(relay, tally)
    return judge(relay, tally, recipients)


def wait_taken(relay: RemoteServer, count: int) -> None:
    sweep_until(lambda: len(relay.messages) >= count, what=f"{count} are sent", seconds=180)


def is_waiting_for_s3() -> bool:
    return Delivery.objects.filter(state="deferred", cause="store_unavailable").exists()


def kill_at(relay: RemoteServer, workers: Workers, tally: Tally, phase: Phase | None, taking: bool) -> None:  # noqa: FBT001
    """Kill a worker while a conversation stands at a phase, whosever it is."""
    if phase is not None:
        stall = relay.stall(phase, taking=taking)
        sweep_until(
            lambda: stall.reached.is_set() or not unfinished(), what=f"somebody comes to {phase}", seconds=180
        )
    workers.kill_one()
    relay.forget_script()
    with_patience(note_what_was_hit(tally))
    after = ", taken" if taking else ""
    tally.kills[f"{phase}{after}" if phase else "no phase in particular"] += 1


def note_what_was_hit(tally: Tally) -> Callable[[], None]:
    """Every lease lapses, the living worker's too: it must notice by itself that it has lost them.

    Under a lock, so that none passes its fence between being looked at and losing its lease.
    """

    def note() -> None:
        with transaction.atomic():
            sending = Delivery.objects.select_for_update().filter(state="sending").order_by("pk")
            tally.hit |= {one.pk for one in sending if one.phase == "committing"}
            let_leases_lapse()

    return note


def with_patience(work: Callable[[], None]) -> None:
    """Do it as soon as PostgreSQL lets us."""

    def done() -> bool:
        try:
            work()
        except (DatabaseError, InterfaceError):
            connection.close()
            return False
        return True

    wait_until(done, what="PostgreSQL answers")


def unfinished() -> int:
    return sum(number for state, number in counts().items() if state in {"queued", "deferred", "sending"})


def flush_redis(servers: Servers, tally: Tally) -> None:
    servers.valkey.flush()
    tally.faults.append("Redis flushed")


def restart_postgres(servers: Servers, tally: Tally) -> None:
    servers.postgres.restart()
    connection.close()
    tally.faults.append("PostgreSQL restarted")


def stop_s3(servers: Servers, tally: Tally) -> None:
    """With all bytes in it: what was not read yet can be read nowhere."""

    def empty_the_spool() -> bool:
        try:
            return offload() == 0
        except (DatabaseError, InterfaceError, ObjectStoreUnavailable):
            connection.close()
            return False

    wait_until(empty_the_spool, what="all bytes are in S3")
    servers.valkey.flush()
    servers.s3.stop()
    tally.faults.append("S3 stopped, with all bytes in it")


def settle(relay: RemoteServer, tally: Tally) -> None:
    """Until nothing waits any more. Leases of the dead lapse; those of the living are theirs."""

    def at_rest() -> bool:
        Delivery.objects.filter(state="deferred").update(due_at=Now())
        return not unfinished()

    relay.behave(latency_seconds=0)
    with_patience(note_what_was_hit(tally))
    sweep_until(at_rest, what="everything has come to an end", seconds=300)


def judge(relay: RemoteServer, tally: Tally, recipients: int) -> str:
    taken: Counter[tuple[str, str]] = Counter()
    for message in relay.messages:
        parsed = email.message_from_bytes(message.content, policy=email.policy.compat32)
        taken.update((str(parsed["Message-ID"]).strip("<>"), recipient) for recipient in message.recipients)
    table = tally.show(recipients, taken)
    deliveries = Delivery.objects.select_related("message")
    ours = {(one.message.rfc_message_id, one.recipient): one for one in deliveries}
    assert len(ours) == recipients
    assert set(taken) <= set(ours)
    assert set(counts()) <= {"sent", "uncertain"}, table
    assert max(taken.values()) == 1, table
    for key, one in ours.items():
        if one.state == DeliveryState.SENT:
            assert taken[key] == 1, f"{one.recipient} is lost\n{table}"
        else:
            assert one.pk in tally.hit, f"{one.recipient} is uncertain without cause\n{table}"
            assert one.cause == "reply_lost"
    return table


def test_a_short_chaos_loses_and_doubles_nothing(house: House, relay: RemoteServer, servers: Servers) -> None:
    wreak_havoc(house, relay, servers, recipients=500, kills=10)


@pytest.mark.slow
def test_a_hundred_kills_in_five_thousand_lose_and_double_nothing(
    house: House,
    relay: RemoteServer,
    servers: Servers,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = wreak_havoc(house, relay, servers, recipients=5000, kills=100)
    with capsys.disabled():
        print(table)  # noqa: T201 - the table is what this is for
