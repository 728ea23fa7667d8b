"""Read hostile mail in processes that can be killed.

A parser that hangs in native code, or eats all memory, cannot be stopped from within. So each message goes
to one of a few small worker processes (`processes`, `worker`); one that overruns its time or its memory is killed
and replaced, and the message is read as plain text instead, with a defect that says why. The next message does
not wait for it.
"""

import atexit
import functools
import os
from dataclasses import replace

from apps.mime.html import flatten_html
from apps.mime.message import ParsedMessage
from apps.mime.parse import parse_as_text
from apps.mime.processes import AnswerUnpickler, BoundedProcesses, WorkerFailed

TIMED_OUT = "parsing took too long"
TIMED_OUT_TWICE = "parsing took too long, and again when there was time"
WORKER_DIED = "parsing failed"

DEFAULT_WORKERS = 2
DEFAULT_MEMORY_BYTES = 1024 * 1024 * 1024


class _AnswerUnpickler(AnswerUnpickler):
    """What a parsed message is made of."""

    ALLOWED = frozenset(
        {
            ("apps.mime.message", "ParsedMessage"),
            ("apps.mime.message", "ParsedPart"),
            ("apps.mime.message", "Enclosed"),
            ("apps.mime.invitation", "Invitation"),
            ("apps.mime.remote_images", "RemoteImages"),
            ("apps.mime.message", "MessageKind"),
            ("apps.mime.address", "Address"),
            ("datetime", "datetime"),
            ("datetime", "timezone"),
            ("datetime", "timedelta"),
        }
    )


class BoundedParser(BoundedProcesses):
    """A small pool of worker processes, started when first needed. Safe to share between threads."""

    def __init__(self, *, workers: int = DEFAULT_WORKERS, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        super().__init__(
            "apps.mime.worker", answers=_AnswerUnpickler, workers=workers, memory_bytes=memory_bytes
        )

    def parse(self, raw: bytes, *, timeout_seconds: float = 10) -> ParsedMessage:
        """Read a message within bounds. Never raises for the message's sake: what cannot be read is read as text."""
        try:
            message: ParsedMessage = self.ask("parse", raw, timeout_seconds=timeout_seconds)
        except WorkerFailed as failure:
            message = parse_as_text(raw)
            defect = TIMED_OUT if failure.timed_out else WORKER_DIED
            return replace(message, defects=(defect, *message.defects))
        return message

    def sanitise(self, html: str, *, timeout_seconds: float = 10) -> str:
        """Sanitise HTML within bounds (`html.sanitise_html`); what cannot be is reduced to its text."""
        try:
            sanitised: str = self.ask("sanitise", html, timeout_seconds=timeout_seconds)
        except WorkerFailed:
            return flatten_html(html)
        return sanitised


@functools.cache
def default_parser() -> BoundedParser:
    """The process's own parser, started when first used and closed when the process ends."""
    parser = BoundedParser()
    atexit.register(parser.close)
    return parser


# A forked child must not talk to its parent's workers over the sockets it inherited.
os.register_at_fork(after_in_child=default_parser.cache_clear)
