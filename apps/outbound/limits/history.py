"""What was sent already, from the record of attempts: the durable truth behind the limiter's counts.

Redis may lose its counts at any moment. Every attempt is a row before its first byte leaves, so all that may have been
sent within any window can be counted here, daily quotas among it; a count in Redis is only the quick way to the same
number. An attempt past the fence that has not ended counts as sent now, and so does one whose worker vanished there;
where the relay is not recorded yet, for every relay. Before the fence an attempt may still be waiting for a limit: what
is in flight there its worker names itself (`Limiter.renew`).

The days of quotas are rolling: any 24 hours.

Limits: attempts are the record only as long as they are kept; removing a message's row removes what it counted for.
An attempt that failed over counts for the last relay alone. Counting a day of a million attempts takes a second or two,
and nothing that has such a limit is sent meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection

from apps.outbound.limits.rules import Owner, Rules, bounds_of, key_of
from apps.outbound.models import EACH, LimitScope, Relay, SendingLimit

# An attempt that began before a window may end within it; none takes longer than this.
LONGEST_ATTEMPT = timedelta(hours=1)
PARTS = 200

# `age` is rounded down, so that what is counted here leaves a window late rather than early.
_COUNT = """
SELECT {subject} AS subject, floor(age / %(part)s)::bigint * %(part)s AS age, count(*) FROM (
    SELECT coalesce(a.relay_id, CASE WHEN d.phase = 'committing' THEN d.relay_id END) AS relay_id,
        d.destination, d.organisation_id, lower(m.sender_address) AS sender,
        greatest(0, extract(epoch FROM clock_timestamp() - coalesce(
            greatest(a.started_at, least(a.finished_at, clock_timestamp())), clock_timestamp())) * 1000) AS age
    FROM outbound_deliveryattempt a
    JOIN outbound_delivery d ON d.id = a.delivery_id
    JOIN mailboxes_message m ON m.id = d.message_id
    WHERE a.started_at > clock_timestamp() - make_interval(secs => %(reach)s) AND d.route = 'relay'
        AND CASE WHEN a.finished_at IS NULL THEN d.phase = 'committing'
            ELSE a.relay_id IS NOT NULL OR a.outcome = 'uncertain' END
        AND (%(owner)s::uuid IS NULL OR d.organisation_id = %(owner)s::uuid)
) AS attempts
WHERE age < %(window)s
GROUP BY 1, 2 ORDER BY 1, 2 DESC
"""
_SUBJECTS = {
    LimitScope.RELAY: "relay_id::text",
    LimitScope.SENDER: "sender",
    LimitScope.ORGANISATION: "organisation_id::text",
    LimitScope.DESTINATION: "destination",
}
_ACCEPTED = """
SELECT count(*) FROM outbound_deliveryattempt a JOIN outbound_delivery d ON d.id = a.delivery_id
WHERE a.started_at > clock_timestamp() - make_interval(secs => %(reach)s)
    AND a.finished_at > clock_timestamp() - make_interval(secs => %(over)s)
    AND a.relay_id = %(relay)s AND a.outcome = 'sent' AND %(destination)s IN ('', d.destination)
"""


@dataclass(frozen=True, slots=True)
class Log:
    """One window of one thing: how many messages ended how many milliseconds ago, the oldest first."""

    key: str
    length_ms: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class History:
    """All windows of all limits, and the version of the rules they were read for."""

    version: int
    logs: tuple[Log, ...]


def recall() -> History:
    """Everything that counts now. A database thread's work; raises what the database raises."""
    rows = list(SendingLimit.objects.all())
    wanted: defaultdict[tuple[Owner, LimitScope, int], set[str]] = defaultdict(set)
    for row in rows:
        for window in bounds_of(row).windows:
            wanted[row.organisation_id, LimitScope(row.scope), window.length_ms].add(row.subject)
    relays = [str(one) for one in Relay.objects.values_list("pk", flat=True)]
    logs: dict[tuple[str, int], Log] = {}
    for (owner, scope, length_ms), subjects in wanted.items():
        for log in _logs(owner, scope, length_ms, subjects, relays):
            logs.setdefault((log.key, log.length_ms), log)
    return History(Rules.of(rows).version, tuple(logs.values()))


def accepted_lately(relay_id: UUID, destination: str, over: timedelta) -> int:
    """How many messages a relay accepted, for one destination or ("") all, within the time just passed."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ACCEPTED,
            {
                "relay": relay_id,
                "destination": destination,
                "over": over.total_seconds(),
                "reach": (over + LONGEST_ATTEMPT).total_seconds(),
            },
        )
        (count,) = cursor.fetchone()
    return int(count)


def _logs(
    owner: Owner, scope: LimitScope, length_ms: int, subjects: set[str], relays: Sequence[str]
) -> Iterable[Log]:
    counted: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    unknown: list[tuple[int, int]] = []
    for subject, age, count in _count(owner, scope, length_ms):
        if subject is None:
            unknown.append((age, count))
        elif EACH in subjects or subject in subjects:
            counted[subject].append((age, count))
    if unknown:
        for subject in relays if EACH in subjects else subjects:
            counted[subject].extend(unknown)
    for subject, entries in counted.items():
        yield Log(key_of(scope, subject, owner), length_ms, tuple(entries))


def _count(owner: Owner, scope: LimitScope, length_ms: int) -> list[tuple[str | None, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT.format(subject=_SUBJECTS[scope]),
            {
                "part": max(1, length_ms // PARTS),
                "reach": length_ms / 1000 + LONGEST_ATTEMPT.total_seconds(),
                "owner": owner,
                "window": length_ms,
            },
        )
        rows: list[tuple[str | None, int, int]] = cursor.fetchall()
    return rows
