"""Whose data is to go, and what stands in its place: what every room needs to forget a customer.

An erasure is a list of `Step`s, each of which walks one kind of rows in the order of their keys, a piece at a time:
`find` looks, with no transaction open, and may read bytes; `erase` removes what was found, in one transaction that also
moves the place in the walk. So it can be killed anywhere and goes on where it was.

What must stay although it names the customer (a delivery that is counted, somebody else's mail) names a pseudonym
afterwards: an address under RFC 2606's `.invalid`, made of a keyed hash, so that the same customer is the same
pseudonym in every row and nobody can tell whose without SECRET_KEY.

Limits: an address is recognised as it is written: in any case, with the domain in both its forms, and as `local=domain`
in a return path. With a "+tag" it is another address, and another erasure.
"""

import hashlib
import hmac
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce
from operator import or_
from typing import Any, Protocol

import idna
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Value
from django.db.models.functions import Cast
from django.db.models.lookups import IRegex


class NotYet(Exception):
    """Something must happen first; the walk stays where it is and is tried again."""


_TEXTS = (models.CharField, models.TextField, models.JSONField)
_NAME_OCTETS = 400
# A display name up to its address (RFC 5322 §3.4), in quotes, in words or in encoded words.
_NAME = re.compile(rb'(?:"[^"\r\n]*+"|[^,:;<>"\r\n]*+)[ \t]*+\Z')


@dataclass(frozen=True)
class Subject:
    """A customer of an organisation, by address (normalised). What came or was sent up to `requested_at` is what is to
    go: what comes later was promised to be kept, as any mail.
    """

    organisation_id: uuid.UUID
    address: str
    requested_at: datetime

    @cached_property
    def digest(self) -> bytes:
        return digest_of(self.organisation_id, self.address)

    @cached_property
    def pseudonym(self) -> str:
        return pseudonym_of(self.organisation_id, self.address)

    @cached_property
    def pattern(self) -> str:
        """A regular expression that PostgreSQL and Python read alike, to be matched without regard to case."""
        local, _at, domain = self.address.rpartition("@")
        domains = {domain, _readable(domain)}
        alternatives = "|".join(sorted(re.escape(one) for one in domains))
        return rf"(?<![\w.+-]){re.escape(local)}[@=](?:{alternatives})(?![\w-]|\.\w)"

    def redact(self, content: bytes) -> bytes:
        """The same bytes with the pseudonym for the address."""
        return self._of_bytes.sub(self.pseudonym.encode(), content)

    def redact_mail(self, raw: bytes) -> bytes:
        """The same for a whole mail, whose head names the customer before the address: `"Ann" <ann@example.org>`."""
        end = re.search(rb"\r?\n\r?\n", raw)
        head, rest = (raw[: end.start()], raw[end.start() :]) if end else (raw, b"")
        pieces, place = [], 0
        for match in self._of_bytes.finditer(head):
            before = head[place : match.start()]
            if before.endswith(b"<"):
                # Bounded: only as far as a name reaches is looked back.
                near = before[-_NAME_OCTETS:-1]
                name = _NAME.search(near)
                before = before[: -1 - len(name[0])] + b" <" if name else before
            pieces += [before, self.pseudonym.encode()]
            place = match.end()
        return b"".join([*pieces, head[place:], self.redact(rest)])

    @cached_property
    def _of_bytes(self) -> "re.Pattern[bytes]":
        # Bytes know no letters but ASCII's: the domain in its readable form is found in another normal form only.
        return re.compile(self.pattern.encode(), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """One row that a step has found, by its key, and what the step has prepared for it."""

    key: str
    work: Any = None


class Step(Protocol):
    """One kind of rows, walked in the order of their keys."""

    name: str

    def find(self, subject: Subject, after: str) -> Sequence[Found]:
        """The next rows beyond the key `after` ("" at first), in order; [] at the end. No transaction is open.

        Raises NotYet, and what reading bytes raises.
        """

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        """Remove or rewrite them in the caller's transaction; how many of what."""


def digest_of(organisation_id: uuid.UUID, address: str) -> bytes:
    """What is kept of an erased address: HMAC-SHA-256 under SECRET_KEY, different in every organisation."""
    key = hashlib.sha256(b"mailplatform.erasing.v1:" + settings.SECRET_KEY.encode()).digest()
    return hmac.digest(key, organisation_id.bytes + address.encode(), "sha256")


def pseudonym_of(organisation_id: uuid.UUID, address: str) -> str:
    """What stands for an erased address (normalised) in the rows of an organisation."""
    return f"erased-{digest_of(organisation_id, address).hex()[:24]}@erased.invalid"


def uuid_after(key: str) -> uuid.UUID:
    """Where a walk of UUIDs goes on."""
    return uuid.UUID(key) if key else uuid.UUID(int=0)


def _readable(domain: str) -> str:
    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain


# What a row says in words.


def text_fields(model: type[models.Model]) -> "list[models.Field[Any, Any]]":
    """Those of a model that may hold an address."""
    return [
        field
        for field in model._meta.concrete_fields  # noqa: SLF001 - Django's, documented
        if isinstance(field.base_field if isinstance(field, ArrayField) else field, _TEXTS)
        and not field.choices
    ]


def mentions(model: type[models.Model], subject: Subject) -> models.Q:
    """A condition: some text of the row says the address."""
    said = (models.Q(IRegex(_as_text(field), subject.pattern)) for field in text_fields(model))
    return reduce(or_, said)


def rewrite(model: type[models.Model], keys: Sequence[Any], subject: Subject) -> int:
    """Put the pseudonym for the address in every text of these rows, in the caller's transaction; how many rows."""
    rows: models.QuerySet[models.Model] = models.QuerySet(model)
    rows = rows.filter(mentions(model, subject), pk__in=keys)
    return rows.update(**{field.name: _rewritten(field, subject) for field in text_fields(model)})


def _as_text(field: "models.Field[Any, Any]") -> Cast:
    return Cast(field.name, models.TextField())


def _rewritten(field: "models.Field[Any, Any]", subject: Subject) -> Cast:
    """A cast to varchar(n) cuts what has become too long; the pseudonym holds no character that JSON or an array
    would quote."""
    pattern, pseudonym = Value(subject.pattern), Value(subject.pseudonym)
    written = Func(_as_text(field), pattern, pseudonym, Value("gi"), function="regexp_replace")
    return Cast(written, field)
