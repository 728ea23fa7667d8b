"""One readable log of many processes: on standard output by name, and whole in a file each.

The product writes JSON lines (`mailplatform.settings.logs`); the screen shows their event and facts, the file
keeps them as they came. The servers are chatty about their own affairs, so theirs go to their files only.
"""

import contextlib
import json
import logging
import sys
import threading
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FILE_SIZE_BYTES = 10 * 1024 * 1024
_OLD_FILES = 3
_NAME_WIDTH = 10
_COLOURS = {"web": 36, "receive": 33, "work": 32, "schedule": 35, "sink": 34}
_BORING_FACTS = frozenset({"event", "level", "timestamp", "logger", "exception"})


class Log:
    """Where every line of the stack goes. `say` and `record` may be called from any thread."""

    def __init__(self, folder: Path, *, screen: bool = True) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._screen = screen
        self._colour = screen and sys.stdout.isatty()
        self._lock = threading.Lock()
        self._files: dict[str, RotatingFileHandler] = {}
        self._last: dict[str, str] = {}

    def say(self, text: str) -> None:
        """A line of the stack itself, on the screen and in `stack.log`."""
        self.record("stack", text, on_screen=True)

    def announce(self, text: str) -> None:
        """A line without a name before it, for people and for programs that wait for it."""
        self._keep("stack", text)
        self._print(text)

    def show(self, text: str) -> None:
        """A line for the screen alone, in no log: on a terminal it may hold the demo's passwords."""
        self._print(text)

    def record(self, name: str, line: str, *, on_screen: bool) -> None:
        """One line that process `name` wrote."""
        self._keep(name, line)
        if on_screen:
            self._print(*(f"{self._label(name)} {shown}" for shown in _readable(line).splitlines()))

    def last_words(self, name: str) -> str:
        """The last line that `name` wrote, as one line, and the file that has the others."""
        with self._lock:
            line = self._last.get(name, "it wrote nothing")
        return f"{' '.join(_readable(line).split())} (more in {self.path_of(name)})"

    def path_of(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def close(self) -> None:
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _label(self, name: str) -> str:
        label = f"{datetime.now().astimezone():%H:%M:%S} {name:<{_NAME_WIDTH}}"
        return f"\x1b[{_COLOURS.get(name, 90)}m{label}\x1b[0m" if self._colour else label

    def _keep(self, name: str, line: str) -> None:
        with self._lock:
            if name not in self._files:
                self._files[name] = RotatingFileHandler(
                    self.path_of(name), maxBytes=_FILE_SIZE_BYTES, backupCount=_OLD_FILES, errors="replace"
                )
            self._files[name].emit(logging.makeLogRecord({"msg": line}))
            if line.strip():
                self._last[name] = line

    def _print(self, *lines: str) -> None:
        if not self._screen:
            return
        with self._lock:
            try:
                sys.stdout.write("".join(f"{line}\n" for line in lines))
                sys.stdout.flush()
            except OSError:
                # `make run | head`, or a terminal that is gone: the files go on, and so does the mail.
                self._screen = False


def _readable(line: str) -> str:
    """A JSON line as its event and facts, level first unless it is ordinary; any other line unchanged."""
    if not line.startswith("{"):
        return line
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict) and "event" in entry:
            level = str(entry.get("level", "info"))
            loud = "" if level in {"info", "debug"} else f"{level.upper()} "
            facts = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _BORING_FACTS)
            trace = f"\n{entry['exception']}" if entry.get("exception") else ""
            return f"{loud}{entry['event']} {facts}".rstrip() + trace
    return line
