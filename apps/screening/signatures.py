"""Our own YARA rules (`rules/*.yar`), compiled once a process and run over one item at a time.

The rules know an item's bytes and two things about its name: whether it has one (`is_file`), and whether that name is
one of a document, a picture or the like (`pretends`). Each rule says in its meta data what its hit means (`outcome`)
and which sentence tells it (`code`).

YARA-X matches in linear time and each scan has a timeout; a scanner belongs to the thread that made it.
"""

import functools
import threading
from dataclasses import dataclass
from pathlib import Path

import yara_x

from apps.screening.findings import Outcome

RULES_FOLDER = Path(__file__).parent / "rules"
SCAN_SECONDS = 10


class SignatureScanFailed(Exception):
    """The rules could not be run to their end over an item: too slow, or a flaw of the engine."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A rule that matched."""

    rule: str
    outcome: Outcome
    code: str


@functools.cache
def _rules() -> yara_x.Rules:
    compiler = yara_x.Compiler(error_on_slow_pattern=True)
    compiler.define_global("is_file", False)  # noqa: FBT003  # the library's own signature
    compiler.define_global("pretends", False)  # noqa: FBT003
    for path in sorted(RULES_FOLDER.glob("*.yar")):
        compiler.add_source(path.read_text(), origin=path.name)
    return compiler.build()


_own = threading.local()


def _scanner() -> yara_x.Scanner:
    """This thread's scanner: one cannot be used from another thread."""
    scanner: yara_x.Scanner | None = getattr(_own, "scanner", None)
    if scanner is None:
        scanner = _own.scanner = yara_x.Scanner(_rules())
        scanner.set_timeout(SCAN_SECONDS)
    return scanner


def match_signatures(data: bytes, *, is_file: bool, pretends: bool) -> list[Signature]:
    """Every rule that matches an item. Raises SignatureScanFailed; then nothing is known about it."""
    scanner = _scanner()
    scanner.set_global("is_file", is_file)
    scanner.set_global("pretends", pretends)
    try:
        found = scanner.scan(data)
    except (yara_x.TimeoutError, yara_x.ScanError) as error:
        raise SignatureScanFailed(str(error)) from error
    signatures = []
    for rule in found.matching_rules:
        meta = dict(rule.metadata)
        signatures.append(Signature(rule.identifier, Outcome(str(meta["outcome"])), str(meta["code"])))
    return signatures
