"""Acknowledging in tests: a mail arrives by an envelope, and everything automatic runs to its end."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.automation.acknowledge import acknowledge_due, plan_acknowledgements
from apps.automation.models import Acknowledgement
from apps.automation.services import change_acknowledgement_rule
from apps.events.services import sequence_committed
from apps.mailboxes.models import Mailbox, Message
from tests.arrivals import arrive
from tests.people import House


def switch_on(house: House, text: str | None = None) -> None:
    change_acknowledgement_rule(house.as_key, house.support, is_on=True, text=text, now=timezone.now())


def arrive_by_envelope(
    mailbox: Mailbox,
    raw: bytes | None = None,
    *,
    envelope_sender: str | None = "elena@customer.example",
    **mail: Any,
) -> Message:
    return arrive(mailbox, raw, envelope_sender=envelope_sender, **mail)


def acknowledge_all(now: datetime | None = None) -> None:
    while sequence_committed():
        pass
    while plan_acknowledgements():
        pass
    while acknowledge_due(now or timezone.now()):
        pass


def decided() -> list[tuple[str, str]]:
    """State and reason of each ticket's acknowledgement, in the order of the tickets."""
    return list(Acknowledgement.objects.order_by("ticket__number").values_list("state", "because"))
