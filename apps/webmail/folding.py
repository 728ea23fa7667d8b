"""Which messages of a long conversation are shown at once: the first few, the last few, and what is not read yet.

The rest is one line, "280 more", and comes when it is opened. Opening a conversation therefore costs the same whether
it has twenty messages or two thousand, but for one query that lists them.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.mailboxes.conversations import Outlined

FOLD_OVER = 20
FIRST = 2
LAST = 10
# What is not read yet is among the last ones shown, so far back.
MAX_LAST = 40
# So many come when a fold is opened; before them stands the fold of the others.
AT_ONCE = 40


@dataclass(frozen=True, slots=True)
class Fold:
    """The messages between the first and the last ones; `after` and `before` are when those were."""

    message_ids: tuple[uuid.UUID, ...]
    after: datetime
    before: datetime
    before_id: uuid.UUID

    @property
    def at(self) -> datetime:
        """Where it stands: just behind the first ones."""
        return self.after

    @property
    def count(self) -> int:
        return len(self.message_ids)

    def opened(self) -> tuple[tuple[uuid.UUID, ...], int]:
        """The last ones of it, and how many stay folded before them."""
        stay = max(0, self.count - AT_ONCE)
        return self.message_ids[stay:], stay

    def holds(self, at: datetime) -> bool:
        """Whether something of that time stands in the fold: a note, a move, a notice."""
        return self.after < at < self.before


def fold(outlined: Sequence[Outlined], shown_too: Collection[uuid.UUID] = ()) -> Fold | None:
    """What to fold of a conversation, oldest first; None for a short one. `shown_too` is not folded away."""
    times = {one.message_id: one.received_at for one in outlined}
    ids = list(times)
    if len(ids) <= FOLD_OVER:
        return None
    wanted = {one.message_id for one in outlined if not one.is_read} | set(shown_too)
    first_wanted = next((at for at, one in enumerate(ids) if at >= FIRST and one in wanted), len(ids))
    start = max(min(first_wanted, len(ids) - LAST), len(ids) - MAX_LAST, FIRST)
    if start - FIRST < FIRST:
        return None
    return fold_before(outlined, ids[start])


def fold_before(outlined: Sequence[Outlined], before_id: uuid.UUID) -> Fold | None:
    """The fold that ends before a message; None when nothing lies there."""
    times = {one.message_id: one.received_at for one in outlined}
    ids = list(times)
    end = ids.index(before_id) if before_id in times else 0
    if end <= FIRST:
        return None
    return Fold(tuple(ids[FIRST:end]), times[ids[FIRST - 1]], times[before_id], before_id)
