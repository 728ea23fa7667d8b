"""Who sent a message, told in plain words from what was found out when it came (`Message.authentication`).

    ours        written here by somebody who had signed in, or by a key
    proven      the domain in From is spoken for by its signature or its servers
    forged      it is not, and the domain publishes how it would be (DMARC)
    unproven    nothing speaks for or against it
    unknown     DNS did not answer when the mail came
    unchecked   it came before anybody asked

A forged one need not be an attack: mailing lists and forwarders change mail, too. So the sentence says what was found
and what to do, and no more.

A domain may be proven and the name beside it a lie, for the name is whatever the sender writes: `disguise` tells of a
colleague's name on a strange address, and of a name that looks like another address.
"""

import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from apps.accounts.models import User
from apps.mailboxes.authenticated import is_forged
from apps.mailboxes.models import Direction, Message

_ADDRESS = re.compile(r"[^\s@<>\"'(),;:]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
CHECKS = ("dmarc", "dkim", "spf", "arc")
_NOT_ASKED = {"result": "unchecked", "reason": "It came before this was checked."}
_OURS = {"result": "none", "reason": "Written here, by somebody who had signed in or with a key."}


class Standing(models.TextChoices):
    OURS = "ours", lazy("Written here")
    PROVEN = "proven", lazy("Proven")
    FORGED = "forged", lazy("Perhaps forged")
    UNPROVEN = "unproven", lazy("Not proven")
    UNKNOWN = "unknown", lazy("Could not be checked")
    UNCHECKED = "unchecked", lazy("Not checked")


_WORDS: dict[Standing, tuple[str | Promise, str | Promise]] = {
    Standing.OURS: (lazy("Written here"), ""),
    Standing.PROVEN: (lazy("From %(domain)s: proven"), lazy("It came from a server of that domain.")),
    Standing.FORGED: (
        lazy("Perhaps not from %(domain)s"),
        lazy(
            "%(domain)s publishes how its mail is proven, and this one is not. Do not open its links or files, and do "
            "not pay, until you have asked the sender in another way."
        ),
    ),
    Standing.UNPROVEN: (
        lazy("From %(domain)s: not proven"),
        lazy("Anybody could have written this address. Most honest mail can be proven by now."),
    ),
    Standing.UNKNOWN: (lazy("Could not be checked"), lazy("The name servers did not answer when it came.")),
    Standing.UNCHECKED: (lazy("Not checked"), lazy("It came before senders were checked.")),
}
_SIGNED = lazy("Its signature holds: nobody changed it on the way.")
_VOUCHED: tuple[str | Promise, str | Promise] = (
    lazy("Forwarded by %(forwarder)s"),
    lazy(
        "It was changed on the way. %(forwarder)s, which is trusted here, says that it was from %(domain)s when it "
        "came there."
    ),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One way of proving it, and what came of it: RFC 8601's word and a sentence."""

    name: str
    result: str
    reason: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """`title` is a line, `advice` a sentence or two, `checks` the evidence."""

    standing: Standing
    domain: str
    title: str
    advice: str
    checks: tuple[Check, ...]
    disguise: str = ""

    @property
    def is_suspicious(self) -> bool:
        return self.standing == Standing.FORGED

    @property
    def says_anything(self) -> bool:
        """Nothing was found out about what we wrote, nor about what came before anybody asked."""
        return self.standing not in {Standing.OURS, Standing.UNCHECKED}


def authentication_of(message: Message) -> Mapping[str, Any]:
    """`mailauth.results.Authentication.as_json`, or the same shape for what nobody asked about; with its standing."""
    found = message.authentication
    if found is None:
        instead = _NOT_ASKED if message.direction == Direction.IN else _OURS
        found = dict.fromkeys(CHECKS, instead) | {"authentication_results": ""}
    return {**found, "standing": _standing(message).value}


def provenance_of(message: Message, colleagues: Mapping[str, str] | None = None) -> Provenance:
    """`colleagues`: names by address, of those whom the message's readers work with (`colleagues_of`)."""
    found = authentication_of(message)
    standing = Standing(found["standing"])
    dmarc = found["dmarc"]
    domain = dmarc.get("domain", "") or message.sender_address.rpartition("@")[2]
    title, advice = _words(standing, domain, dmarc, found["arc"].get("vouched_by", ""))
    checks = tuple(Check(name.upper(), found[name]["result"], found[name]["reason"]) for name in CHECKS)
    disguise = "" if standing == Standing.OURS else _disguise(message, colleagues or {})
    return Provenance(standing, domain, title, advice, checks, disguise)


def colleagues_of(organisation_id: uuid.UUID) -> Mapping[str, str]:
    """Who works in the organisation: {address: name}, the names as `_plain` compares them."""
    people = User.objects.filter(organisation_id=organisation_id, is_active=True)
    return {email: _plain(name) for email, name in people.values_list("email", "name")}


def _disguise(message: Message, colleagues: Mapping[str, str]) -> str:
    """What the name beside the address pretends, in a sentence; "" for an ordinary name."""
    name, address = message.sender_name, message.sender_address.lower()
    claimed = _ADDRESS.search(name)
    if claimed and claimed[0].lower().rpartition("@")[2] != address.rpartition("@")[2]:
        return _("The name is written like an address, %(claimed)s, which is not where it came from.") % {
            "claimed": claimed[0]
        }
    plain = _plain(name)
    if plain and address not in colleagues and plain in colleagues.values():
        return _(
            "%(name)s is the name of a colleague of yours, and %(address)s is not their address here."
        ) % {
            "name": name,
            "address": message.sender_address,
        }
    return ""


def _plain(name: str) -> str:
    """A name as people compare them: no case, no accents, no doubled blanks."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return " ".join("".join(one for one in letters if not unicodedata.combining(one)).split())


def _standing(message: Message) -> Standing:
    if message.direction != Direction.IN:
        return Standing.OURS
    if message.authentication is None:
        return Standing.UNCHECKED
    dmarc = message.authentication["dmarc"]
    if dmarc.get("proven_by"):
        return Standing.PROVEN
    if is_forged(message.authentication):
        return Standing.FORGED
    return Standing.UNKNOWN if dmarc["result"] == "temperror" else Standing.UNPROVEN


def _words(standing: Standing, domain: str, dmarc: Mapping[str, Any], vouched_by: str) -> tuple[str, str]:
    named = {"domain": domain or _("the sender"), "forwarder": vouched_by}
    title, advice = _VOUCHED if standing == Standing.UNPROVEN and vouched_by else _WORDS[standing]
    if standing == Standing.PROVEN and dmarc.get("proven_by") == "signature":
        advice = _SIGNED
    return str(title) % named, str(advice) % named
