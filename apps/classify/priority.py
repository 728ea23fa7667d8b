"""A ticket's first priority, from what its mail says about itself.

The rules, in this order; the first that speaks decides, and its name is kept with the ticket:

    1  a list's, a bulk sender's or an answering machine's mail is low, whatever it claims: newsletters mark themselves
       important, and nobody waits for an answer to them
    2  a subject that begins with an unmistakable marker, "[URGENT]" or "urgent:", is urgent
    3  the sender's program says so in a header, as people tell it with the red exclamation mark: high or low. No header
       makes a ticket urgent, because many programs write the highest value where their user chose "important"
    4  otherwise normal

People change it afterwards, and what they chose is never overwritten. A monitor's alarm (`Auto-Submitted:
auto-generated`, RFC 3834 §5.2) begins something new and is judged like a person's mail.

Limits: words within sentences are not read, in no language. "Urgent care bill" is a subject, not a request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# Of headers a stranger wrote only so much is looked at.
MAX_SUBJECT_CHARS = 200
MAX_VALUE_CHARS = 40


class Level(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Because(StrEnum):
    """The rule that decided. Stored with the ticket, so these words never change."""

    FROM_A_MACHINE = "from_a_machine"
    FROM_A_LIST = "from_a_list"
    SENT_IN_BULK = "sent_in_bulk"
    SUBJECT_SAYS_URGENT = "subject_says_urgent"
    SENDER_MARKED_IT = "sender_marked_it"
    NOTHING_SPECIAL = "nothing_special"
    SET_BY_A_PERSON = "set_by_a_person"


@dataclass(frozen=True, slots=True)
class MailFacts:
    """What there is to go by. `headers` are lower-case names with cleaned values; `kind` is mime's."""

    kind: str
    subject: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Priority:
    level: Level
    because: Because


_MACHINES = frozenset({"auto_reply", "bounce", "receipt"})

# A marker stands first, behind at most one "Re:" or "Fwd:"; nothing backtracks.
_MARKER = re.compile(r"\s*(?:(?:re|fwd?)\s*:\s*)?(?:\[urgent\]|\(urgent\)|urgent\s*[:!])", re.IGNORECASE)

# Each header with what its values mean. The standard ones come first, and the first that says anything decides:
#   Importance         RFC 2156 §5.3.4, in RFC 4021 §2.1.54: the sender's opinion for the reader
#   Priority           RFC 2156 §5.3.6: meant for the transport, used for both
#   X-Priority         no standard: 1 is highest, 3 normal, 5 lowest, often with a word behind it ("1 (Highest)")
#   X-MSMail-Priority  no standard: Outlook's words
_SCALE: tuple[tuple[str, Mapping[str, Level]], ...] = (
    ("importance", {"high": Level.HIGH, "normal": Level.NORMAL, "low": Level.LOW}),
    ("priority", {"urgent": Level.HIGH, "normal": Level.NORMAL, "non-urgent": Level.LOW}),
    (
        "x-priority",
        {"1": Level.HIGH, "2": Level.HIGH, "3": Level.NORMAL, "4": Level.LOW, "5": Level.LOW},
    ),
    ("x-msmail-priority", {"high": Level.HIGH, "normal": Level.NORMAL, "low": Level.LOW}),
)


def classify(facts: MailFacts) -> Priority:
    """The priority a ticket begins with. Never raises, whatever a header holds."""
    because = _nobody_waits(facts)
    if because is not None:
        return Priority(Level.LOW, because)
    if _MARKER.match(facts.subject[:MAX_SUBJECT_CHARS]):
        return Priority(Level.URGENT, Because.SUBJECT_SAYS_URGENT)
    marked = _marked_by_sender(facts.headers)
    if marked is not None and marked != Level.NORMAL:
        return Priority(marked, Because.SENDER_MARKED_IT)
    return Priority(Level.NORMAL, Because.NOTHING_SPECIAL)


def _nobody_waits(facts: MailFacts) -> Because | None:
    if facts.kind in _MACHINES:
        return Because.FROM_A_MACHINE
    # RFC 2919 §3 and RFC 2369 §3: what a list's or a mailing's software adds, and no person does.
    if facts.kind == "list" or "list-id" in facts.headers or "list-unsubscribe" in facts.headers:
        return Because.FROM_A_LIST
    if facts.headers.get("precedence", "").strip().lower() in {"bulk", "junk", "list"}:
        return Because.SENT_IN_BULK
    return None


def _marked_by_sender(headers: Mapping[str, str]) -> Level | None:
    for name, meanings in _SCALE:
        words = headers.get(name, "")[:MAX_VALUE_CHARS].lower().replace("(", " ").split()
        if words and words[0] in meanings:
            return meanings[words[0]]
    return None
