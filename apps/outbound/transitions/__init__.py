"""Every change of a delivery's state. Each is one conditional UPDATE; a row in another state is left alone.

    submission ──▶ scheduled ─────────────┐ due
         │                                ▼
         ├───────▶ queued ──────────▶ sending ──▶ sent        a relay said 250
         │           ▲  ▲   take up      │  ├────▶ delivered   laid into our own Inbox
         │           │  │                │  ├────▶ failed      the other side said no for good
         │           │  └─ lapsed, or ───┤  ├────▶ rejected    it cannot be sent as it is, or a scanner says it must not
         │           │     given back    │  ├────▶ expired     the next try would come too late
         │           │                   │  ├────▶ suppressed, cancelled   found at the claim: bounced before, replied
         │           │                   │  └────▶ uncertain   lapsed at or after the fence, or the reply was lost
         │           │     put off       ▼             │
         │           ├─ due ─────── deferred           ├──▶ sent, bounced, queued    a person decides
         │           │                                 ├──▶ sent, failed, deferred   a late answer decides
         │           │                                 └──▶ queued   once, where the organisation's policy says so
         ├───────▶ delivered, failed     (local recipients, at once)
         │
    scheduled, queued, deferred ──▶ cancelled   a person, as long as no worker has it; or its conversation got an answer
    scheduled, queued, deferred ──▶ suppressed  its recipient bounced or complained meanwhile
    scheduled, queued, deferred ──▶ expired     nobody took it up in its lifetime
    queued ──▶ deferred                         many at once: their destination is known to take nothing now
    deferred ──▶ queued                         a person: "try now"
    queued, deferred ──▶ queued                 a person: "over this relay, now"
    scheduled ──▶ scheduled, queued             a person: "at another time", "send now"
    sent, uncertain ──▶ bounced                 a bounce came back; `delivered` stays, nobody else bounces for us
    uncertain ──▶ sent                          a report shows that it was accepted after all
    failed, expired, rejected, bounced, suppressed ──▶ queued   a person resubmits it from the error queue

While it is `sending` the row has a lease and a token; `pass_fence` sets the phase `committing`.

With each change, in the same transaction: an event (taking up has none: the attempt's row tells it), the message's
state, which is its least finished delivery's, and after the commit a notice to the sender's mailbox: see `settling`.

What workers do is done for many deliveries in one statement each, and a row that is not as it should be is left out
rather than an error. Rows are locked in the order of their ids, so that a worker's statements never wait in a circle.
"""

from apps.outbound.transitions.by_clock import expire_waiting, recover_lapsed, retry_uncertain
from apps.outbound.transitions.by_mail import (
    bounce,
    cancel_replied,
    confirm,
    replied_meanwhile,
    suppress_waiting,
)
from apps.outbound.transitions.by_people import (
    add_recipient,
    cancel,
    discard,
    look_for_relay_again,
    reroute,
    reschedule,
    resolve_uncertain,
    resubmit,
    try_now,
    undiscard,
)
from apps.outbound.transitions.by_workers import (
    decide_by_late_answer,
    leave_sending,
    pass_fence,
    put_off_destination,
    renew_leases,
)
from apps.outbound.transitions.change import Change, Ending, Evidence, Held
from apps.outbound.transitions.settling import least_finished
from apps.outbound.transitions.taking_up import Room, TakenUp, next_due_at, take_by_destination, take_oldest

__all__ = [
    "Change",
    "Ending",
    "Evidence",
    "Held",
    "Room",
    "TakenUp",
    "add_recipient",
    "bounce",
    "cancel",
    "cancel_replied",
    "confirm",
    "decide_by_late_answer",
    "discard",
    "expire_waiting",
    "least_finished",
    "leave_sending",
    "look_for_relay_again",
    "next_due_at",
    "pass_fence",
    "put_off_destination",
    "recover_lapsed",
    "renew_leases",
    "replied_meanwhile",
    "reroute",
    "reschedule",
    "resolve_uncertain",
    "resubmit",
    "retry_uncertain",
    "suppress_waiting",
    "take_by_destination",
    "take_oldest",
    "try_now",
    "undiscard",
]
