"""A name server on loopback that says what a test wants, over UDP and TCP, and counts what it is asked.

    names.say("x.example", "MX", "10 mx.x.example.")    one more record, as in a zone file
    names.txt("x.example", "v=spf1 -all")               these and no others of the kind; so do `mx` and `address`
    names.fail("broken.example")                        SERVFAIL for it
    names.ignore("silent.example")                      no answer at all
    names.down = True                                   no answer to anybody

What it was not told does not exist (NXDOMAIN); a name with records of another type exists without (NODATA).
"""

import threading
from collections import Counter
from typing import Any

import dnslib
from dnslib.server import BaseResolver, DNSLogger, DNSServer


class NameServer(BaseResolver):  # type: ignore[misc]
    """Use it as a context manager."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.down = False
        self.port = 0
        self._records: dict[str, list[dnslib.RR]] = {}
        self._failing: set[str] = set()
        self._ignored: set[str] = set()
        self._servers: list[DNSServer] = []
        self._over = threading.Event()

    def __enter__(self) -> "NameServer":
        self._servers = self._listen()
        for server in self._servers:
            threading.Thread(target=server.server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def _listen(self) -> list[DNSServer]:
        """On one port over both protocols: a port that is free over TCP need not be so over UDP."""
        quiet = DNSLogger(log="-request,-reply,-truncated,-error,-recv,-send,-data", prefix=False)
        for _try in range(50):
            tcp = DNSServer(self, address="127.0.0.1", port=0, tcp=True, logger=quiet)
            self.port = tcp.server.server_address[1]
            try:
                return [tcp, DNSServer(self, address="127.0.0.1", port=self.port, logger=quiet)]
            except OSError:
                tcp.server.server_close()
        raise AssertionError("no port is free over both TCP and UDP")

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for server in self._servers:
            server.server.shutdown()
            server.server.server_close()

    def say(self, name: str, kind: str, value: str, *, ttl: int = 300) -> None:
        """One more record, written as in a zone file."""
        self._records.setdefault(name.lower(), []).extend(
            dnslib.RR.fromZone(f"{name}. {ttl} IN {kind} {value}")
        )

    def txt(self, name: str, *texts: str) -> None:
        """Each of them one record, in strings of 255 bytes."""
        self._set(name, [dnslib.TXT(_strings(text)) for text in texts])

    def mx(self, name: str, *hosts: str) -> None:
        """The first is preferred; "" says that no mail is taken (RFC 7505)."""
        self._set(name, [dnslib.MX(host or ".", preference=10 * n) for n, host in enumerate(hosts)])

    def address(self, name: str, *addresses: str) -> None:
        self._set(name, [dnslib.AAAA(one) if ":" in one else dnslib.A(one) for one in addresses])

    def _set(self, name: str, values: list[Any]) -> None:
        kinds = {type(value).__name__ for value in values}
        kept = [one for one in self._records.get(name, []) if type(one.rdata).__name__ not in kinds]
        made = [
            dnslib.RR(name, getattr(dnslib.QTYPE, type(value).__name__), rdata=value, ttl=60)
            for value in values
        ]
        self._records[name] = kept + made

    def forget(self, name: str) -> None:
        self._records.pop(name.lower(), None)

    def fail(self, name: str) -> None:
        self._failing.add(name)

    def ignore(self, name: str) -> None:
        self._ignored.add(name)

    def resolve(self, request: Any, handler: Any) -> Any:
        name, kind = str(request.q.qname).rstrip(".").lower(), dnslib.QTYPE[request.q.qtype]
        self.asked[name, kind] += 1
        if self.down or name in self._ignored:
            self._over.wait(30)  # an answer nobody waits for any more
        reply = request.reply()
        if name in self._failing:
            reply.header.rcode = dnslib.RCODE.SERVFAIL
        elif name not in self._records:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        for record in self._chain(name, kind):
            reply.add_answer(record)
        return reply

    def _chain(self, name: str, kind: str) -> list[dnslib.RR]:
        """The records, behind the aliases that lead to them."""
        records = self._records.get(name, [])
        aliases = [record for record in records if record.rtype == dnslib.QTYPE.CNAME]
        if aliases and kind != "CNAME":
            return [*aliases, *self._chain(str(aliases[0].rdata).rstrip(".").lower(), kind)]
        return [record for record in records if dnslib.QTYPE[record.rtype] == kind]


def _strings(text: str) -> list[bytes]:
    return [text[at : at + 255].encode() for at in range(0, len(text), 255)] or [b""]
