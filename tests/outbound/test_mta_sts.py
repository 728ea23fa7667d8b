"""MTA-STS policies: how records and policies read, how long which one holds, and how they are fetched."""

import gzip
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from apps.names.resolver import Resolver
from apps.outbound.relays.mta_sts import (
    Fetch,
    Mode,
    Policies,
    PolicyInvalid,
    fetcher,
    read_policy,
    read_record,
)
from tests.remote.names import NameServer
from tests.remote.policies import WELL_KNOWN, Page, PolicyServer

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.x.example\r\nmx: *.mail.example\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("texts", "record_id"),
    [
        (["v=STSv1; id=20260302T0900;"], "20260302T0900"),
        (["other", "v=STSv1;id=1"], "1"),
        (["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
        (["v=STSv2; id=1;"], None),
        (["v=STSv1; id=not an id;"], None),
        ([], None),
    ],
)
def test_a_record_has_one_id(texts: list[str], record_id: str | None) -> None:
    assert read_record(texts) == record_id


def test_a_policy_names_servers_and_stars_stand_for_one_label() -> None:
    policy = read_policy(POLICY)
    assert (policy.mode, policy.max_age_seconds) == (Mode.ENFORCE, 604800)
    assert [policy.covers(host) for host in ("MX.x.example.", "a.mail.example")] == [True, True]
    assert [policy.covers(host) for host in ("a.b.mail.example", "mail.example", "x.example")] == [False] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not found</html>",
        POLICY.replace("STSv1", "STSv9"),
        POLICY.replace("enforce", "perhaps"),
        POLICY.replace("604800", "soon"),
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        read_policy(text)


async def test_a_known_policy_holds_while_its_record_is_hidden_or_it_cannot_be_fetched_anew() -> None:
    fetched: list[str] = []
    now = [1_000_000.0]

    async def fetch(domain: str) -> str:
        fetched.append(domain)
        if len(fetched) > 1:
            raise PolicyInvalid("gone")
        return POLICY

    with NameServer() as names:
        names.say("_mta-sts.x.example", "TXT", '"v=STSv1; id=1;"', ttl=0)
        policies = Policies(Resolver([("127.0.0.1", names.port)]), fetch, clock=lambda: now[0])
        for _ in range(3):
            assert await policies.of("x.example") == read_policy(POLICY)
        assert fetched == ["x.example"]
        names.forget("_mta-sts.x.example")
        assert await policies.of("x.example") is not None
        names.say("_mta-sts.x.example", "TXT", '"v=STSv1; id=2;"', ttl=0)
        assert await policies.of("x.example") is not None
        now[0] += 604_801
        assert await policies.of("x.example") is None
        assert await policies.of("[192.0.2.1]") is None


# fetching it, over real HTTPS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as server:
        server.address("mta-sts.x.example", "127.0.0.1")
        server.txt("_mta-sts.x.example", "v=STSv1; id=1;")
        yield server


def certified(authority: trustme.CA, *hosts: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    return context


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[PolicyServer]:
    with PolicyServer(certified(authority, "mta-sts.x.example")) as running:
        running.page = Page(POLICY.encode())
        yield running


def fetch_from(server: PolicyServer, names: NameServer, ca_file: str, *, allow_private: bool = True) -> Fetch:
    resolver = Resolver([("127.0.0.1", names.port)])
    return fetcher(resolver, ca_file=ca_file, allow_private=allow_private, port=server.port)


async def test_a_policy_is_had_from_its_own_host_under_its_own_name(
    server: PolicyServer, names: NameServer, ca_file: str
) -> None:
    assert await fetch_from(server, names, ca_file)("x.example") == POLICY
    assert server.asked == [("mta-sts.x.example", "mta-sts.x.example", WELL_KNOWN)]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page(POLICY.encode(), status=404), "answered 404"),
        (Page(POLICY.encode(), status=500), "answered 500"),
        (Page(POLICY.encode(), status=203), "answered 203"),
        (Page(POLICY.encode(), status=301, location="/elsewhere"), "answered 301"),
        (Page(POLICY.encode(), media_type="text/html"), "answered text/html and not text/plain"),
        (Page(POLICY.encode(), media_type=None), "not text/plain"),
        (Page(POLICY.encode() + b"x: y\r\n" * 20_000), "more than 65536 bytes"),
    ],
)
async def test_what_a_host_answers_otherwise_is_no_policy(
    server: PolicyServer, names: NameServer, ca_file: str, page: Page, why: str
) -> None:
    """RFC 8461 §3.3: no redirect is followed, and nothing but 200 counts."""
    server.page = page
    with pytest.raises(PolicyInvalid, match=why):
        await fetch_from(server, names, ca_file)("x.example")
    assert len(server.asked) == 1


async def test_a_policy_is_plain_text_whatever_is_said_about_its_characters(
    server: PolicyServer, names: NameServer, ca_file: str
) -> None:
    server.page = Page(POLICY.encode(), media_type="Text/Plain; charset=utf-8")
    assert await fetch_from(server, names, ca_file)("x.example") == POLICY


async def test_what_comes_compressed_is_not_unpacked(
    server: PolicyServer, names: NameServer, ca_file: str
) -> None:
    server.page = Page(gzip.compress(POLICY.encode()), encoding="gzip")
    with pytest.raises(PolicyInvalid):
        read_policy(await fetch_from(server, names, ca_file)("x.example"))


@pytest.mark.parametrize("hosts", [("x.example",), ("127.0.0.1",), ("mta-sts.y.example", "*.example")])
async def test_a_certificate_for_another_name_vouches_for_nothing(
    authority: trustme.CA, names: NameServer, ca_file: str, hosts: tuple[str, ...]
) -> None:
    with PolicyServer(certified(authority, *hosts)) as server:
        server.page = Page(POLICY.encode())
        with pytest.raises(PolicyInvalid, match="did not give it"):
            await fetch_from(server, names, ca_file)("x.example")
        assert (server.handshakes, server.asked) == (1, [])


async def test_a_certificate_nobody_vouches_for_is_none(server: PolicyServer, names: NameServer) -> None:
    with pytest.raises(PolicyInvalid, match="did not give it"):
        await fetch_from(server, names, ca_file="")("x.example")
    assert server.asked == []


async def test_no_policy_is_fetched_from_within_our_own_network(
    server: PolicyServer, names: NameServer, ca_file: str
) -> None:
    with pytest.raises(PolicyInvalid, match="has no address of the internet"):
        await fetch_from(server, names, ca_file, allow_private=False)("x.example")
    assert server.handshakes == 0


async def test_after_a_failure_it_is_not_asked_for_again_for_five_minutes(
    server: PolicyServer, names: NameServer, ca_file: str
) -> None:
    now = [1_000_000.0]
    policies = Policies(
        Resolver([("127.0.0.1", names.port)]),
        fetch_from(server, names, ca_file),
        clock=lambda: now[0],
    )
    server.page = Page(status=503)
    for _mail in range(3):
        assert await policies.of("x.example") is None
    assert len(server.asked) == 1
    server.page = Page(POLICY.encode())
    now[0] += 299
    assert await policies.of("x.example") is None
    now[0] += 2
    assert await policies.of("x.example") == read_policy(POLICY)
    assert len(server.asked) == 2
