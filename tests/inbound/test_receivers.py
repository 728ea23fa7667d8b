"""Several processes at one port: they share the work, the bounds, and no fate."""

import os
import signal

import psutil
import pytest

from apps.inbound.board import Board
from apps.inbound.limits import Gate, Limits
from apps.inbound.models import ReceivedMessage
from apps.organisations.models import new_id
from tests.inbound.processes import ReceiveProcess
from tests.inbound.wire import RawClient, send
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def children_of(process: ReceiveProcess) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def is_ready(process: ReceiveProcess, times: int) -> bool:
    return process.log().count("receive_ready") >= times


def still_takes(client: RawClient, number: int) -> bool:
    try:
        return client.sends(raw_mail(message_id=f"{number}@c.example"), "support@house.test").startswith(
            "250"
        )
    except (OSError, AssertionError):
        return False


def test_one_that_is_killed_is_replaced_and_harms_no_other(house: House) -> None:
    with ReceiveProcess(RECEIVE_PROCESSES="3") as process:
        wait_until(lambda: is_ready(process, 3))
        clients = [RawClient(process.port) for _ in range(12)]
        victim, *_others = children_of(process)
        served_by_victim = sum(
            one.status == "ESTABLISHED" and one.laddr.port == process.port for one in victim.net_connections()
        )
        victim.kill()
        wait_until(lambda: is_ready(process, 4))
        assert len(children_of(process)) == 3
        answers = [still_takes(client, number) for number, client in enumerate(clients)]
        assert answers.count(True) == 12 - served_by_victim
        assert send(process.port).startswith("250")
        assert process.stop() == 0
    assert ReceivedMessage.objects.count() == 13 - served_by_victim
    assert "receiver_died" in process.log()


def test_none_of_them_outlives_the_one_that_was_started(house: House) -> None:
    with ReceiveProcess(RECEIVE_PROCESSES="2") as process:
        wait_until(lambda: is_ready(process, 2))
        children = children_of(process)
        process.kill()
        psutil.wait_procs(children, timeout=10)
        assert not any(child.is_running() for child in children)


def test_a_bound_holds_for_all_of_them_together() -> None:
    board = Board(2)
    limits = Limits(max_connections=5, max_connections_per_address=2, max_in_flight_bytes=100)
    one, other = Gate(limits, board.seat(0)), Gate(limits, board.seat(1))
    assert one.enter("192.0.2.1") == other.enter("192.0.2.1") == ""
    assert one.enter("192.0.2.1").startswith("421 4.7.0")
    one.leave("192.0.2.1")
    other.leave("192.0.2.1")
    assert one.enter("192.0.2.1") == ""
    assert [other.enter(f"198.51.100.{n}") for n in range(3)] == ["", "", ""]
    assert one.enter("203.0.113.1").startswith("421 4.3.2")
    assert one.reserve(60, "192.0.2.1")
    assert not other.reserve(60, "198.51.100.1")
    one.release(60, "192.0.2.1")
    assert other.reserve(60, "198.51.100.1")


def test_what_a_dead_one_held_is_free_again() -> None:
    board = Board(2)
    limits = Limits(max_connections=2, max_in_flight_bytes=100)
    dead, living = Gate(limits, board.seat(0)), Gate(limits, board.seat(1))
    dead.enter("192.0.2.1")
    dead.enter("192.0.2.2")
    dead.reserve(100, "192.0.2.1")
    assert living.enter("192.0.2.3").startswith("421")
    living.leave("192.0.2.3")
    board.wipe(0)
    assert living.enter("192.0.2.3") == ""
    assert living.reserve(100, "192.0.2.3")


def test_a_forked_process_makes_ids_of_its_own() -> None:
    new_id()
    reader, writer = os.pipe()
    for _ in range(2):
        if not (pid := os.fork()):
            os.write(writer, b"".join(new_id().bytes[8:] for _ in range(4)))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
    tails = os.read(reader, 4096)
    assert len({tails[n : n + 8] for n in range(0, len(tails), 8)}) == 8
