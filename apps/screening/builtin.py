"""The scanner that is always on and needs no daemon: our own rules, names, archives and macros (`walk`).

A small mail that is nothing but text is looked through in place, in a tenth of a millisecond. Everything else goes to
one of a few processes that can be killed. One that overruns its time, its memory or itself leaves the mail
`unscannable`: it waits and is tried again, and is never taken for clean.
"""

import atexit
import functools
import hashlib
import os
from pathlib import Path

from apps.mime.processes import AnswerUnpickler, BoundedProcesses, WorkerFailed
from apps.screening.findings import WORST_FIRST, Finding, Outcome
from apps.screening.verdict import Direction, Envelope, Policy, Verdict
from apps.screening.walk import look_through_plain
from apps.screening.wording import sentence

NAME = "builtin"
DEFAULT_WORKERS = 2
# The rules' engine and 256 MB of unpacked bytes, with the archive around them.
DEFAULT_MEMORY_BYTES = 1536 * 1024 * 1024

# Nobody here can open these; whether that matters is the organisation's decision.
_CLOSED = frozenset({"archive_encrypted", "archive_unopenable", "document_encrypted"})
# Parts beyond the bounds are shown to nobody who receives such a mail either, so they harm nobody.
_UNSEEN = frozenset({"mail_too_deep"})


class BuiltinScanner:
    """Safe to share between threads."""

    name = NAME

    def __init__(self, *, workers: int = DEFAULT_WORKERS, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._processes = BoundedProcesses(
            "apps.screening.worker", answers=AnswerUnpickler, workers=workers, memory_bytes=memory_bytes
        )

    def version(self) -> str:
        return f"{NAME} {_digest()}"

    def scan(
        self, raw: bytes, direction: Direction, envelope: Envelope, policy: Policy, *, timeout_seconds: float
    ) -> Verdict:
        """Never raises: what cannot be looked through is `unscannable`."""
        findings = look_through_plain(raw)
        if findings is None:
            findings = self._look_through(raw, timeout_seconds)
        return _verdict(findings, direction, policy)

    def close(self) -> None:
        self._processes.close()

    def _look_through(self, raw: bytes, timeout_seconds: float) -> list[Finding]:
        try:
            answer = self._processes.ask("look", raw, timeout_seconds=timeout_seconds)
        except WorkerFailed as failure:
            detail = "timeout" if failure.timed_out else "worker died"
            return [Finding(Outcome.UNSCANNABLE, "scan_timed_out", (), detail=detail)]
        return [
            Finding(Outcome(outcome), code, tuple(where), rule, detail)
            for outcome, code, where, rule, detail in answer
        ]


def _verdict(findings: list[Finding], direction: Direction, policy: Policy) -> Verdict:
    """The worst of what was found. What the organisation lets pass is evidence, and no reason."""
    details = tuple(": ".join(filter(None, (one.rule, one.code, one.detail))) for one in findings[:10])
    against = [one for one in findings if not _is_let_pass(one, direction, policy)]
    for outcome in WORST_FIRST:
        worst = [one for one in against if one.outcome == outcome]
        if worst:
            # The same bytes may be found in the archive around them too: the file itself is what the sender knows.
            told = max(worst, key=lambda one: (one.code == worst[0].code, len(one.where)))
            return Verdict(outcome, NAME, told.code, sentence(told, direction), details)
    return Verdict(Outcome.CLEAN, NAME, details=details)


def _is_let_pass(finding: Finding, direction: Direction, policy: Policy) -> bool:
    if finding.code in _CLOSED:
        return not policy.rejects_closed_archives
    if finding.code in _UNSEEN and direction == Direction.IN:
        return True
    return finding.outcome == Outcome.FORBIDDEN and policy.allows_forbidden_files


@functools.cache
def _digest() -> str:
    """Of every line that decides: with another rule, name or bound, a mail that was refused deserves another look."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("*.py"), *folder.glob("rules/*.yar")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def default_builtin() -> BuiltinScanner:
    """The process's own scanner; its workers are started when first needed and end with the process."""
    scanner = BuiltinScanner()
    atexit.register(scanner.close)
    return scanner


# A forked child must not talk to its parent's workers over the sockets it inherited.
os.register_at_fork(after_in_child=default_builtin.cache_clear)
