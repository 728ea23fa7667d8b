"""`manage.py work` as a process of its own, and the schedule process as the test plays it."""

from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from apps.outbound.models import Delivery
from apps.outbound.sweeper import sweep_deliveries
from tests.polling import wait_until
from tests.processes import ProductProcess


class WorkProcess(ProductProcess):
    """One worker, which sends by this relay. `arguments` run it in another way than the command does."""

    def __init__(self, relay_url: str, *arguments: str) -> None:
        super().__init__(*(arguments or ("manage.py", "work")), ready="work_ready", RELAY_URL=relay_url)


def let_leases_lapse() -> None:
    """What a minute does to the leases of a worker that is dead or asleep, on PostgreSQL's clock as they are."""
    Delivery.objects.filter(state="sending").update(lease_expires_at=Now())


def sweep_until(condition: Callable[[], bool], *, what: str, seconds: float = 90) -> None:
    """Sweep, as the schedule process does, until `condition` holds. PostgreSQL may be away meanwhile."""
    outages: list[DatabaseError | InterfaceError] = []

    def swept() -> bool:
        try:
            sweep_deliveries()
            return condition()
        except (DatabaseError, InterfaceError) as error:
            outages.append(error)
            connection.close()
            return False

    try:
        wait_until(swept, seconds, what=what)
    except AssertionError as error:
        error.add_note(f"{len(outages)} rounds found no database, the last: {outages[-1:]}")
        error.add_note(f"deliveries now: {counts()}")
        raise


def counts() -> dict[str, int]:
    """How many deliveries are in each state."""
    found: dict[str, int] = {}
    for state in Delivery.objects.order_by().values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found
