"""SPF (RFC 7208): may the machine that brought the mail send for the domain of its envelope?

pyspf walks the record, with its macros and limits (§4.6.4); `_Query` replaces its DNS client by `Names`, so that every
question stands in the caller's budget, shares its cache, and counts as void as §4.6.4 says.

Limits: HELO is asked about only where MAIL FROM is empty (§2.4 says so; §2.3 recommends both). A record longer than
`MAX_RECORD_CHARS` is permerror: some of pyspf's checks are quadratic, and §3.4 wants 512 octets.
"""

import ipaddress
from typing import Any

import spf

from apps.mailauth.results import FAIL, NEUTRAL, NONE, PASS, PERMERROR, SOFTFAIL, TEMPERROR, SpfResult
from apps.mime.clean import clean_line
from apps.names.asking import Names
from apps.names.domains import ascii_domain
from apps.names.resolver import NamesUnavailable

MAX_RECORD_CHARS = 4096
MAX_EXPLANATION_CHARS = 300

_REASONS = {
    PASS: "{domain} lets {address} send for it.",
    FAIL: "{domain} says that {address} may not send for it.",
    SOFTFAIL: "{domain} says that {address} probably may not send for it.",
    NEUTRAL: "{domain} does not say whether {address} may send for it.",
    NONE: "{domain} publishes no SPF record.",
    PERMERROR: "The SPF record of {domain} is broken: {detail}.",
    TEMPERROR: "The SPF record of {domain} could not be looked up: {detail}.",
}


def check_spf(address: str, helo: str, sender: str, names: Names, *, receiver: str = "") -> SpfResult:
    """`address` is the client's, `sender` MAIL FROM without brackets and "" for `<>`. Never raises."""
    identity = "mailfrom" if sender else "helo"
    # §2.4: an empty MAIL FROM stands for postmaster at the HELO name.
    local, at, host = (sender or f"postmaster@{helo}").rpartition("@")
    domain = ascii_domain(host) or clean_line(host, 255).lower()
    try:
        told = str(ipaddress.ip_address(address))
        # §4.3: domains are looked up in their ASCII form.
        query = _Query(address, sender and f"{local}{at}{ascii_domain(host) or host}", helo, names, receiver)
        result, _code, text = query.check()
    except NamesUnavailable as error:
        result, told, text = TEMPERROR, address, str(error)
    except Exception as error:  # noqa: BLE001  # a record that pyspf cannot take is as good as a broken one
        result, told, text = PERMERROR, address, type(error).__name__
    reason = _REASONS.get(result, _REASONS[PERMERROR]).format(
        domain=domain or "The sender's domain", address=told, detail=_detail(text)
    )
    explanation = clean_line(text, MAX_EXPLANATION_CHARS) if result == FAIL else ""
    return SpfResult(result, reason, domain, identity, explanation)


def _detail(text: str) -> str:
    for prefix in ("SPF Permanent Error: ", "SPF Temporary Error: "):
        text = text.removeprefix(prefix)
    return clean_line(text, 200).rstrip(".") or "it cannot be read"


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """pyspf's evaluation of one envelope, over our names."""

    def __init__(self, address: str, sender: str, helo: str, names: Names, receiver: str) -> None:
        super().__init__(address, sender, helo, receiver=receiver or None, strict=True)
        self._names = names

    def dns_spf(self, domain: str) -> str | None:
        record: str | None = super().dns_spf(domain)
        if record is not None and len(record) > MAX_RECORD_CHARS:
            raise spf.PermError("the record is too long")
        return record

    def dns(
        self,
        name: object,
        qtype: str,
        cnames: object = None,
        ignore_void: bool = False,  # noqa: FBT001, FBT002
    ) -> list[Any]:
        """In pyspf's shapes: texts are lists of byte strings, exchangers are pairs."""
        asked = str(name).rstrip(".").lower()
        if not asked or not all(0 < len(label) < 64 for label in asked.split(".")):
            return []
        try:
            found = self._ask(asked, qtype)
        except NamesUnavailable as error:
            raise spf.TempError(str(error)) from error
        if not found and not ignore_void:
            self.void_lookups += 1
            # §4.6.4: names that do not exist are asked for by who wants us to ask for many.
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} look-ups found nothing")
        return found

    def _ask(self, name: str, kind: str) -> list[Any]:
        if kind == "TXT":
            return [[text.encode()] for text in self._names.texts(name)]
        if kind in ("A", "AAAA"):
            return [str(one) for one in self._names.addresses(name, 6 if kind == "AAAA" else 4)]
        if kind == "MX":
            return [(one.preference, one.host) for one in self._names.exchangers(name)]
        return self._pointers(name) if kind == "PTR" else []

    def _pointers(self, name: str) -> list[str]:
        try:
            return list(self._names.pointers(name))
        except NamesUnavailable:
            # §5.5: the mechanism does not match then. Who brought the mail also owns this zone, and may have it silent.
            return []
