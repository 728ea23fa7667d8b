"""How we slow down when a provider has had enough, and how we find our speed again.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989): every provider draws its line
elsewhere, tells nobody where, and moves it. So:

- A recognised limit pauses the relay, or the relay's way to one destination, until the time the provider stated, or
  else for its usual wait; each next limit within `calm` doubles an unstated one.
- After the pause we go at half the speed at which the limit was met (the messages a minute that were accepted within
  the last one; of a limit on connections, half of those in use), and each minute adds a tenth of it. That crosses the
  old speed after five minutes, and the line, where it still stands, is met again a little beyond it: the average is
  three quarters of what the provider allows.
- A pace that has grown to `lifted_at` times the speed at which the limit was met is given up: whatever the reason was,
  it is gone.

Many conversations meet one limit at once; that is one reduction, not a hundred.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """`least_rate` is messages a minute: slower than that we never go, or we would never learn that it is over."""

    least_rate: float = 1
    lifted_at: float = 4
    calm: timedelta = timedelta(minutes=10)
    longest_pause: timedelta = timedelta(hours=1)
    measured_over: timedelta = field(default=timedelta(minutes=1))

    def as_json(self) -> dict[str, Any]:
        """As the script reads it."""
        return {
            "least_rate": self.least_rate,
            "lifted_at": self.lifted_at,
            "calm_ms": round(self.calm.total_seconds() * 1000),
            "longest_pause_ms": round(self.longest_pause.total_seconds() * 1000),
        }


DEFAULT_PACE_POLICY = PacePolicy()
