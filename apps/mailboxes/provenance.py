"""Who sent a message, told in plain words from what was found out when it came (`Message.authentication`).

    ours        written here by somebody who had signed in, or by a key
    proven      the domain in From is spoken for by its signature or its servers
    forged      it is not, and the domain publishes a policy (DMARC) that says it always would be
    unproven    nothing speaks for or against it
    unknown     DNS did not answer when the mail came
    unchecked   it came before anybody asked

A forged one need not be an attack: mailing lists and forwarders change mail, too. So the sentence says what was found
and what to do, and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from apps.mailboxes.models import Direction, Message

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
            "%(domain)s says that all of its mail can be proven, and this one cannot. Do not open its links or files, "
            "and do not pay, until you have asked the sender in another way."
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


def authentication_of(message: Message) -> Mapping[str, Any]:
    """`mailauth.results.Authentication.as_json`, or the same shape for what nobody asked about; with its standing."""
    found = message.authentication
    if found is None:
        instead = _NOT_ASKED if message.direction == Direction.IN else _OURS
        found = dict.fromkeys(CHECKS, instead) | {"authentication_results": ""}
    return {**found, "standing": _standing(message).value}


def provenance_of(message: Message) -> Provenance:
    found = authentication_of(message)
    standing = Standing(found["standing"])
    dmarc = found["dmarc"]
    domain = dmarc.get("domain", "") or message.sender_address.rpartition("@")[2]
    title, advice = _words(standing, domain, dmarc, found["arc"].get("vouched_by", ""))
    checks = tuple(Check(name.upper(), found[name]["result"], found[name]["reason"]) for name in CHECKS)
    return Provenance(standing, domain, title, advice, checks)


def _standing(message: Message) -> Standing:
    if message.direction != Direction.IN:
        return Standing.OURS
    if message.authentication is None:
        return Standing.UNCHECKED
    dmarc = message.authentication["dmarc"]
    if dmarc.get("proven_by"):
        return Standing.PROVEN
    # What a trusted forwarder vouches for is not proven, and is no forgery either.
    if dmarc["result"] == "fail" and not message.authentication["arc"].get("vouched_by"):
        return Standing.FORGED
    return Standing.UNKNOWN if dmarc["result"] == "temperror" else Standing.UNPROVEN


def _words(standing: Standing, domain: str, dmarc: Mapping[str, Any], vouched_by: str) -> tuple[str, str]:
    named = {"domain": domain or _("the sender"), "forwarder": vouched_by}
    title, advice = _VOUCHED if standing == Standing.UNPROVEN and vouched_by else _WORDS[standing]
    if standing == Standing.PROVEN and dmarc.get("proven_by") == "signature":
        advice = _SIGNED
    return str(title) % named, str(advice) % named
