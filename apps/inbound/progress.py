"""A progress bar: one line that moves on a terminal, a line at every tenth where the output is kept."""

import time
from typing import TextIO

WIDTH = 30
REDRAW_SECONDS = 0.1


class Progress:
    """Counts up to `total`. Call `advance` or `reach`, and `finish` once."""

    def __init__(self, label: str, total: int, stream: TextIO) -> None:
        self._label = label
        self._total = max(1, total)
        self._stream = stream
        self._moves = stream.isatty()
        self._started = time.monotonic()
        self._drawn_at = 0.0
        self._told_tenths = 0
        self.done = 0

    @property
    def seconds(self) -> float:
        return max(1e-6, time.monotonic() - self._started)

    @property
    def per_second(self) -> float:
        return self.done / self.seconds

    def advance(self) -> None:
        self.reach(self.done + 1)

    def reach(self, done: int) -> None:
        self.done = done
        tenths = done * 10 // self._total
        if self._moves:
            if done >= self._total or time.monotonic() - self._drawn_at > REDRAW_SECONDS:
                self._drawn_at = time.monotonic()
                self._stream.write("\r" + self._line())
                self._stream.flush()
        elif tenths > self._told_tenths:
            self._told_tenths = tenths
            self._stream.write(self._line() + "\n")

    def finish(self) -> None:
        """Leave the last state standing, and end the line."""
        if self._moves:
            self._stream.write("\r" + self._line() + "\n")
            self._stream.flush()

    def _line(self) -> str:
        filled = WIDTH * min(self.done, self._total) // self._total
        bar = "█" * filled + "░" * (WIDTH - filled)
        return f"{self._label:9} {bar} {self.done}/{self._total}  {self.per_second:.0f}/s "
