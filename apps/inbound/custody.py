"""What many connections bring at the same time, committed together (`receiving.accept_all`).

A commit costs the same for one message as for twenty, and each trip to PostgreSQL too. So a message joins whatever
arrives while the last batch is committed; one that is alone hardly waits. A batch in which one message cannot be
written is written again one by one, so that its neighbours do not suffer; when PostgreSQL goes away in the middle,
nobody knows what became of the commit, all of the batch are told 451, and whoever comes again is recognised.

Large messages go to S3 before they join, by threads of their own: that takes as long as it takes, and while S3 hangs
small messages are committed and recipients answered all the same.
"""

import uuid
from collections.abc import Sequence

from django.utils import timezone

from apps.blobs.services import SPOOL_BOUND_BYTES
from apps.inbound.outages import is_away
from apps.inbound.receiving import Accepted, Envelope, Incoming, accept_all, stage_incoming
from apps.organisations.database_threads import DatabaseThreads
from apps.organisations.group_commit import GroupCommit

# What a batch costs hardly depends on what is in it: one at a time, and as large as it gets, is the most in all.
# Twenty messages of the spool's bound are 5 MB.
COMMITS_AT_ONCE = 1
MOST = 20
STORED_AT_ONCE = 8


class Custody:
    """Takes messages for all connections of an event loop."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._storing = DatabaseThreads(STORED_AT_ONCE)
        self._commits = GroupCommit[Incoming, Accepted](
            self._commit, most=MOST, at_once=COMMITS_AT_ONCE, is_away=is_away
        )

    async def take(self, envelope: Envelope, raw: bytes, acknowledged: frozenset[uuid.UUID]) -> Accepted:
        """Returns after the commit. Raises as `accept_message` does; then nothing was promised."""
        now = timezone.now()
        if len(raw) > SPOOL_BOUND_BYTES:
            incoming = await self._storing(stage_incoming, envelope, raw, now=now, acknowledged=acknowledged)
        else:
            incoming = stage_incoming(envelope, raw, now=now, acknowledged=acknowledged)
        return await self._commits.ask(incoming)

    def close(self) -> None:
        """Wait for what is being stored; what has not begun is dropped."""
        self._storing.close(wait=True)

    async def _commit(self, batch: list[Incoming]) -> Sequence[Accepted]:
        return await self._threads(accept_all, batch)
