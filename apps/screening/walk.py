"""Look through a whole mail: each part under its name, each archive and document to its ground.

    mail ─▶ parts ─▶ name, signatures ─▶ archive ─▶ members …
                                      ─▶ Office document ─▶ macros, embedded files …
                                      ─▶ forwarded mail ─▶ its parts …

Hostile work: archives and documents are opened by code that may be slow or hungry, so it runs in a process that can be
killed (`worker`). What is plain may be looked through in place: `look_through_plain` gives up, with None, as soon as it
meets anything else.

Everything is bounded by one `Budget`. A bound that is met is a finding (a mail we cannot look through is not sent), a
clock that runs out is `unscannable`: another time may do.

Limits: winmail.dat (TNEF) and yEnc are not taken apart; their bytes are still run over.
"""

import re
from collections.abc import Iterator

from apps.mime.bodies import decode_body
from apps.mime.headers import parse_parameters
from apps.mime.structure import Entity, read_structure
from apps.mime.transfer import decode_transfer
from apps.screening.archives import Format, members, recognise
from apps.screening.budget import MAX_DEPTH, Budget, OutOfTime, TooMuch
from apps.screening.compound import MAGIC as COMPOUND
from apps.screening.findings import Finding, Outcome
from apps.screening.names import cannot_be_a_container, judge_name, pretends_harmless
from apps.screening.office import Embedded, Trait, examine_compound, examine_workbook_parts
from apps.screening.signatures import SignatureScanFailed, match_signatures
from apps.screening.unpack import Damaged, unpack_zlib

MAX_FINDINGS = 50
MAX_PLAIN_BYTES = 128 * 1024
MAX_PLAIN_PARTS = 20

_UUENCODED = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]{1,200})\r?$", re.MULTILINE)
_MESSAGE_TYPES = frozenset({"message/rfc822", "message/global"})

Where = tuple[str, ...]


class _NotPlain(Exception):
    """Something that only a process that can be killed may open."""


def look_through(raw: bytes) -> list[Finding]:
    """Everything there is to say against a mail; [] for a clean one. May take long, and much memory: see `worker`."""
    return _Walk(Budget()).mail(raw)


def look_through_plain(raw: bytes) -> list[Finding] | None:
    """The same in place and at once, for a small mail that is nothing but text; None for every other."""
    if len(raw) > MAX_PLAIN_BYTES:
        return None
    try:
        return _Walk(Budget(members_left=MAX_PLAIN_PARTS), only_plain=True).mail(raw)
    except _NotPlain:
        return None


class _Walk:
    def __init__(self, budget: Budget, *, only_plain: bool = False) -> None:
        self._budget = budget
        self._only_plain = only_plain
        self._findings: dict[Finding, None] = {}
        self._at: Where = ()

    def mail(self, raw: bytes) -> list[Finding]:
        try:
            self._signatures(raw, (), is_file=False)
            self._parts(raw, (), depth=0)
        except TooMuch as bound:
            if self._only_plain:
                raise _NotPlain from bound  # its bounds are for speed, and no reason to refuse a mail
            self._found(Outcome.FORBIDDEN, bound.code, self._at)
        except (OutOfTime, SignatureScanFailed):
            self._found(Outcome.UNSCANNABLE, "scan_timed_out", self._at)
        return list(self._findings)

    # the mail's own structure

    def _parts(self, raw: bytes, where: Where, *, depth: int) -> None:
        structure = read_structure(raw)
        if not structure.complete:
            self._found(Outcome.FORBIDDEN, "mail_too_deep", where)
        for leaf in _leaves(structure.root):
            data, _defect = decode_body(structure.raw, leaf)
            names = _names(leaf)
            if self._only_plain and (names or not leaf.content_type.startswith("text/")):
                raise _NotPlain
            self._budget.take_member()
            self._budget.take_bytes(len(data))
            for name in names[1:]:
                self._name(name, (*where, name))
            self._item(data, (*where, names[0]) if names else where, depth=depth + 1, leaf=leaf)

    def _item(self, data: bytes, where: Where, *, depth: int, leaf: Entity | None = None) -> None:
        """One file, or one text of the mail: its name, its bytes, and what it holds."""
        self._at = where
        if depth > MAX_DEPTH:
            raise TooMuch("archive_too_deep")
        is_file = leaf is None or bool(leaf.filename)
        if is_file and where:
            self._name(where[-1], where)
        self._signatures(data, where, is_file=is_file)
        if leaf is not None and leaf.content_type in _MESSAGE_TYPES:
            self._parts(data, where, depth=depth)
        else:
            self._contents(data, where, depth=depth, is_file=is_file)
        if leaf is not None and leaf.content_type.startswith("text/"):
            self._uuencoded(data, where, depth=depth)

    def _uuencoded(self, data: bytes, where: Where, *, depth: int) -> None:
        """Files written into the text, as before MIME; some programs still show them as attachments."""
        # Most texts have no such word; the expression, which tries every line, takes ten times as long to say so.
        begins = list(_UUENCODED.finditer(data)) if b"begin " in data else []
        if not begins:
            return
        if self._only_plain:
            raise _NotPlain
        # Each up to where the next begins, so that a thousand of them are still read once.
        ends = [*(begin.start() for begin in begins[1:]), len(data)]
        for begin, end in zip(begins, ends, strict=True):
            self._budget.take_member()
            decoded, defect = decode_transfer(data[begin.start() : end], "uuencode")
            if not defect:
                self._budget.take_bytes(len(decoded))
                self._item(decoded, (*where, begin[1].decode("utf-8", "replace").strip()), depth=depth + 1)

    # what a file holds

    def _contents(self, data: bytes, where: Where, *, depth: int, is_file: bool) -> None:
        kind = recognise(data)
        is_compound = data.startswith(COMPOUND)
        if kind is None and not is_compound:
            if is_file and where and _is_mail_file(where[-1]):
                self._parts(data, where, depth=depth)
            return
        if self._only_plain:
            raise _NotPlain
        if where and cannot_be_a_container(where[-1]):
            self._found(Outcome.FORBIDDEN, "disguised", where)
        if is_compound:
            self._compound(data, where, depth=depth)
        if kind is not None:
            self._archive(kind, data, where, depth=depth)

    def _archive(self, kind: Format, data: bytes, where: Where, *, depth: int) -> None:
        parts, workbook = set[str](), b""
        for member in members(kind, data, where[-1] if where else "", self._budget):
            inner = (*where, member.name) if member.name else where
            parts.add(member.name)
            if member.data is None:
                if member.name:
                    self._name(member.name, inner)
                self._found(Outcome.FORBIDDEN, f"archive_{member.problem}", where)
                continue
            if member.name.lower() in {"xl/workbook.xml", "xl/workbook.bin"}:
                workbook = member.data
            self._item(member.data, inner, depth=depth + 1)
        for trait in examine_workbook_parts(parts, workbook):
            self._trait(trait, where)

    def _compound(self, data: bytes, where: Where, *, depth: int) -> None:
        for thing in examine_compound(data):
            match thing:
                case Trait():
                    self._trait(thing, where)
                case Embedded():
                    self._budget.take_member()
                    inner = (*where, thing.name) if thing.name else where
                    self._item(self._embedded(thing), inner, depth=depth + 1)

    def _embedded(self, file: Embedded) -> bytes:
        if file.is_packed:
            try:
                return unpack_zlib(memoryview(file.data), self._budget)
            except Damaged:
                return b""
        self._budget.take_bytes(len(file.data))
        return file.data

    # what is said of it

    def _name(self, name: str, where: Where) -> None:
        if code := judge_name(name):
            self._found(Outcome.FORBIDDEN, code, where, rule="name")

    def _signatures(self, data: bytes, where: Where, *, is_file: bool) -> None:
        self._at = where
        pretends = bool(is_file and where and pretends_harmless(where[-1]))
        for signature in match_signatures(data, is_file=is_file, pretends=pretends):
            self._found(signature.outcome, signature.code, where, rule=signature.rule)

    def _trait(self, trait: Trait, where: Where) -> None:
        if len(where) > 1 and where[-1].lower().endswith(".bin"):
            where = where[:-1]  # a new document's vbaProject.bin is nothing its writer has heard of
        self._found(Outcome.FORBIDDEN, trait.code, where, rule="office", detail=trait.detail)

    def _found(self, outcome: Outcome, code: str, where: Where, *, rule: str = "", detail: str = "") -> None:
        if len(self._findings) < MAX_FINDINGS:
            self._findings[Finding(outcome, code, where, rule, detail)] = None


def _leaves(entity: Entity) -> Iterator[Entity]:
    if not entity.children:
        yield entity
    for child in entity.children:
        yield from _leaves(child)


def _names(leaf: Entity) -> list[str]:
    """What programs may call a part: the disposition's file name, or the type's name where they read that first."""
    disposition = parse_parameters(leaf.headers.get("content-disposition"))[1].get("filename", "")
    return [name for name in dict.fromkeys((disposition, leaf.parameters.get("name", ""))) if name]


def _is_mail_file(name: str) -> bool:
    return name.lower().endswith(".eml")
