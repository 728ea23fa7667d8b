"""A record a domain should publish, and what was found in its place."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from django.utils.translation import gettext as _


class Verdict(StrEnum):
    """What looking came to. `unchecked`: nobody can tell right now, which is never the same as `missing`."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish. `code` is stable: verify, spf, dkim, dmarc, mx, mta_sts, return_path_spf, return_path_mx.

    `value` is the text as receivers read it; an empty one means that we cannot tell what to write, and `why` says so.
    """

    code: str
    type: str
    name: str
    value: str
    why: str
    selector: str = ""
    is_needed: bool = True

    @property
    def key(self) -> str:
        """Tells two records of one domain apart."""
        return f"{self.code}:{self.selector}" if self.selector else self.code


@dataclass(frozen=True, slots=True)
class Finding:
    """What DNS has where a record should stand: a verdict, why in words, and what was found there.

    `remarks` are advice about what is right as it is.
    """

    record: Record
    verdict: Verdict
    sentence: str
    found: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Judgement:
    """A finding before it knows its record."""

    verdict: Verdict
    sentence: str
    found: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def of(self, record: Record) -> Finding:
        return Finding(record, self.verdict, self.sentence, self.found, self.remarks)

    def with_found(self, found: list[str]) -> "Judgement":
        return replace(self, found=tuple(one[:600] for one in found[:10]))


def ok(sentence: str, *remarks: str) -> Judgement:
    return Judgement(Verdict.OK, sentence, remarks=remarks)


def missing(sentence: str) -> Judgement:
    return Judgement(Verdict.MISSING, sentence)


def wrong(sentence: str) -> Judgement:
    return Judgement(Verdict.WRONG, sentence)


def unchecked(reason: str) -> Judgement:
    return Judgement(
        Verdict.UNCHECKED,
        _("It could not be checked: %(reason)s. Your record may well be right.") % {"reason": reason},
    )
