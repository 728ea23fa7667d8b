"""Names without a network: a zone as a test writes it, in the shape of the RFC 7208 suite's `zonedata`."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from apps.names.resolver import IPAddress, MxRecord, NamesUnavailable


class Zone:
    """{name: [record, …]}, a record being {type: value}, or "TIMEOUT" for a name that nobody answers about."""

    def __init__(self, records: Mapping[str, Sequence[Any]] | None = None) -> None:
        self._records = {name.lower().rstrip("."): list(found) for name, found in (records or {}).items()}
        self.asked: list[str] = []

    def txt(self, name: str, text: str) -> None:
        self._records.setdefault(name.lower(), []).append({"TXT": text})

    def fail(self, name: str) -> None:
        self._records[name.lower()] = ["TIMEOUT"]

    def texts(self, name: str) -> list[str]:
        return ["".join(value) if isinstance(value, list) else value for value in self._of(name, "TXT")]

    def addresses(self, name: str, version: int) -> list[IPAddress]:
        return [ipaddress.ip_address(one) for one in self._of(name, "AAAA" if version == 6 else "A")]

    def exchangers(self, name: str) -> list[MxRecord]:
        return [MxRecord(preference, host.lower().rstrip(".")) for preference, host in self._of(name, "MX")]

    def pointers(self, name: str) -> list[str]:
        return [one.rstrip(".") for one in self._of(name, "PTR")]

    def ahead(self, *names: str) -> None:
        """Nothing is slow here."""

    def _of(self, name: str, kind: str) -> list[Any]:
        asked = name.lower().rstrip(".")
        self.asked.append(asked)
        for _alias in range(12):
            records = self._records.get(asked, [])
            found = _values(records, kind)
            aliases = _values(records, "CNAME")
            if not found and "TIMEOUT" in records:
                raise NamesUnavailable("the name servers did not answer")
            if found or not aliases:
                return found
            asked = aliases[0].lower().rstrip(".")
        return []


def _values(records: Sequence[Any], kind: str) -> list[Any]:
    found = [record[kind] for record in records if isinstance(record, dict) and kind in record]
    if kind == "TXT" and not found:
        # The suite was written for the SPF type too, and says "TXT: NONE" where that is not the same.
        found = [record["SPF"] for record in records if isinstance(record, dict) and "SPF" in record]
    return [value for value in found if value != "NONE"]
