"""A name server on loopback, over UDP and TCP, that answers, errs or keeps silent where a test tells it to."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from dnslib import AAAA, MX, QTYPE, RCODE, RR, TXT, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer


class Zone(BaseResolver):  # type: ignore[misc]
    """Everything this world's DNS knows."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], list[object]] = {}
        self._failing: set[str] = set()
        self._silent: set[str] = set()
        self._released = threading.Event()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.server = ("", 0)

    def txt(self, name: str, *texts: str) -> None:
        strings = [
            [text[at : at + 255].encode() for at in range(0, len(text), 255)] or [b""] for text in texts
        ]
        self._records[name, "TXT"] = [TXT(one) for one in strings]

    def mx(self, name: str, *hosts: str) -> None:
        self._records[name, "MX"] = [MX(host or ".", preference=10 * n) for n, host in enumerate(hosts)]

    def address(self, name: str, *addresses: str) -> None:
        self._records[name, "A"] = [A(one) for one in addresses if ":" not in one]
        self._records[name, "AAAA"] = [AAAA(one) for one in addresses if ":" in one]

    def forget(self, name: str) -> None:
        for key in [key for key in self._records if key[0] == name]:
            del self._records[key]

    def fail(self, name: str) -> None:
        """SERVFAIL for whatever is asked of this name."""
        self._failing.add(name)

    def keep_silent(self, name: str) -> None:
        self._silent.add(name)

    def release(self) -> None:
        self._released.set()

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        name = str(request.q.qname).rstrip(".").lower()
        kind = QTYPE[request.q.qtype]
        self.asked[name, kind] += 1
        if name in self._silent:
            self._released.wait(60)
        reply = request.reply()
        if name in self._failing:
            reply.header.rcode = RCODE.SERVFAIL
        elif not any(known == name for known, _kind in self._records):
            reply.header.rcode = RCODE.NXDOMAIN
        for data in self._records.get((name, kind), []):
            reply.add_answer(RR(request.q.qname, request.q.qtype, rdata=data, ttl=60))
        return reply


class _Quiet:
    def __getattr__(self, _name: str) -> object:
        return lambda *_args: None


@contextmanager
def name_server() -> Iterator[tuple[Zone, tuple[str, int]]]:
    """A zone to fill, and where it is served."""
    zone = Zone()
    tcp = DNSServer(zone, address="127.0.0.1", port=0, tcp=True, logger=_Quiet())
    port = tcp.server.server_address[1]
    udp = DNSServer(zone, address="127.0.0.1", port=port, logger=_Quiet())
    servers = (tcp, udp)
    for server in servers:
        threading.Thread(target=server.server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield zone, ("127.0.0.1", port)
    finally:
        zone.release()
        for server in servers:
            server.stop()
            server.server.server_close()
