"""What a person or a program wants a relay to be, checked and brought to the form in which it is kept."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import idna
from django.utils.translation import gettext as _

from apps.mime.clean import clean_line
from apps.outbound.errors import RelayInvalid
from apps.outbound.models import CertificatePolicy, Lane, RelayKind, RelaySecurity
from apps.outbound.models.relays import MAX_PRIORITY, MAX_WEIGHT

MAX_NAME_CHARS = 100
MAX_DOMAINS = 200
MAX_CREDENTIAL_CHARS = 255

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class RelayWishes(TypedDict, total=False):
    """What is not named stays as it is, or as it usually is. `password`: "" forgets it."""

    name: str
    kind: str
    host: str
    port: int
    security: str
    certificates: str
    username: str
    password: str
    hello_name: str
    priority: int
    weight: int
    sender_domains: Sequence[str]
    recipient_domains: Sequence[str]
    lanes: Sequence[str]
    allow_private_networks: bool


def checked(wishes: RelayWishes) -> dict[str, Any]:
    """Each wish in its normal form. Raises RelayInvalid for the first that cannot be."""
    return {field: _CHECKS[field](field, value) for field, value in wishes.items()}


def _name(field: str, value: str) -> str:
    name = clean_line(value, MAX_NAME_CHARS + 1).strip()
    if not name:
        raise RelayInvalid(field, _("Give it a name."))
    if len(name) > MAX_NAME_CHARS:
        raise RelayInvalid(field, _("At most %(n)d characters.") % {"n": MAX_NAME_CHARS})
    return name


def _host(field: str, value: str) -> str:
    host = value.strip().strip("[]").lower()
    if not host:
        return ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return _host_name(field, host)


def _host_name(field: str, value: str) -> str:
    name = value.strip().rstrip(".").lower()
    if not name:
        return ""
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise RelayInvalid(field, _("That is not the name of a server.")) from error
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise RelayInvalid(field, _("That is not the name of a server."))
    return name


def _domains(field: str, value: Sequence[str]) -> list[str]:
    if len(value) > MAX_DOMAINS:
        raise RelayInvalid(field, _("At most %(n)d domains.") % {"n": MAX_DOMAINS})
    domains = []
    for one in value:
        star, bare = ("*.", one.strip()[2:]) if one.strip().startswith("*.") else ("", one.strip())
        try:
            name = _host_name(field, bare)
        except RelayInvalid as error:
            raise RelayInvalid(field, _not_a_domain(one)) from error
        if not name:
            raise RelayInvalid(field, _not_a_domain(one))
        domains.append(star + name)
    return sorted(set(domains))


def _not_a_domain(text: str) -> str:
    return _("“%(text)s” is not a domain. Write example.org, or *.example.org for all below it.") % {
        "text": clean_line(text, 80)
    }


def _lanes(field: str, value: Sequence[str]) -> list[str]:
    unknown = sorted(set(value) - set(Lane.values))
    if unknown:
        raise RelayInvalid(field, _("There is no lane “%(lane)s”.") % {"lane": clean_line(unknown[0], 40)})
    return sorted(set(value))


def _one_of(choices: Sequence[str]) -> Callable[[str, str], str]:
    def check(field: str, value: str) -> str:
        if value not in choices:
            raise RelayInvalid(field, _("One of %(choices)s.") % {"choices": ", ".join(choices)})
        return value

    return check


def _number(lowest: int, highest: int) -> Callable[[str, int], int]:
    def check(field: str, value: int) -> int:
        if not lowest <= value <= highest:
            raise RelayInvalid(
                field, _("From %(lowest)d to %(highest)d.") % {"lowest": lowest, "highest": highest}
            )
        return value

    return check


def _credential(field: str, value: str) -> str:
    if len(value) > MAX_CREDENTIAL_CHARS:
        raise RelayInvalid(field, _("At most %(n)d characters.") % {"n": MAX_CREDENTIAL_CHARS})
    if any(char in value for char in "\0\r\n"):
        raise RelayInvalid(field, _("No line ends and no NUL."))
    return value


def _flag(_field: str, value: bool) -> bool:  # noqa: FBT001 - one of a table of checks
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "name": _name,
    "kind": _one_of(RelayKind.values),
    "host": _host,
    "port": _number(1, 65535),
    "security": _one_of(RelaySecurity.values),
    "certificates": _one_of(CertificatePolicy.values),
    "username": _credential,
    "password": _credential,
    "hello_name": _host_name,
    "priority": _number(0, MAX_PRIORITY),
    "weight": _number(1, MAX_WEIGHT),
    "sender_domains": _domains,
    "recipient_domains": _domains,
    "lanes": _lanes,
    "allow_private_networks": _flag,
}
