"""How many mails in a row programs have written to each other, and when that is enough.

Our acknowledgements cannot go in circles (RFC 3834; `automation.answerable`). An integrator's programs can: two
mailboxes with one behind each answer each other over the same-domain road as fast as the machine allows, with no
server between that would count `Received` fields (RFC 5321 §6.3). So each message carries its turn: one more than the
message it answers when no person wrote it and it comes within `WITHIN` of that; else none. A person's mail, or a pause,
begins anew.

Beyond `MAX_TURNS` a message is not delivered: its deliveries fail with the cause `loop`, and nobody is told by mail.

Limits: a program that answers without naming what it answers (`in_reply_to`) begins anew each time, and is bounded by
the quotas only. So is one that answers mail from outside which does not say that a machine wrote it, and one that
signs in with a person's app password and does not say so of its own.
"""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from apps.mailboxes.models import Message

MAX_TURNS = 25
WITHIN = timedelta(hours=1)


def turn_after(answered: Message | None, now: datetime, *, by_machine: bool) -> int:
    """The turn of a message that answers `answered` now."""
    if answered is None or not by_machine or now - answered.received_at > WITHIN:
        return 0
    return answered.machine_turns + 1


def told_of_a_loop() -> str:
    """The reason of the deliveries that fail."""
    words = _("Programs have answered each other %(turns)s times in a row. A person can still write.")
    return words % {"turns": MAX_TURNS}


def goes_in_circles(turn: int) -> bool:
    return turn > MAX_TURNS
