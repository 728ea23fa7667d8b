"""The fetcher before hostile servers: redirects, rebinding, private ranges, slow and endless answers."""

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from apps.fetching.errors import FetchFailed
from apps.fetching.fetch import FetchPolicy, fetch, post
from apps.fetching.url import read_url
from tests.fetching.far_server import FarServer, far_server

LOOPBACK = FetchPolicy(allowed_networks=(ip_network("127.0.0.0/8"),), deadline_seconds=1, max_bytes=10_000)
WORLD = FetchPolicy(deadline_seconds=1)


@pytest.fixture
def far() -> Iterator[FarServer]:
    with far_server() as one:
        yield one


def failure_of(url: str, policy: FetchPolicy = LOOPBACK) -> str:
    with pytest.raises(FetchFailed) as caught:
        fetch(url, policy)
    return caught.value.code


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name resolves to these from now on; the names that were asked for."""
    asked: list[str] = []

    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        if not host.endswith(".example"):
            return list(real(host, port, *args, **more))
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr("apps.fetching.guard.socket.getaddrinfo", getaddrinfo)
    return asked


def test_what_is_there_is_fetched_and_nothing_of_ours_goes_along(far: FarServer) -> None:
    url = far.serve("/a.png?x=1", b"bytes")
    assert fetch(url, LOOPBACK).content == b"bytes"
    assert far.asked[0].headers.keys() == {"host", "user-agent", "accept-encoding", "connection"}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254",
        "100.100.100.200", "0.0.0.0", "[fe80::1]", "[fd00::1]", "[64:ff9b::a00:1]", "[::ffff:169.254.169.254]",
        "0x7f.1", "2130706433", "localhost", "[2002:7f00:1::]",
    ],
)  # fmt: skip
def test_no_address_of_the_inside_is_asked_however_it_is_written(host: str) -> None:
    assert failure_of(f"http://{host}/", WORLD) in {"address_forbidden", "unresolvable"}


def test_a_redirect_to_the_inside_is_not_followed(far: FarServer) -> None:
    for location in ("http://169.254.169.254/latest/meta-data/", "http://[::1]/", "//10.0.0.1/"):
        assert failure_of(far.redirect("/away", location)) == "address_forbidden"
    for location in (
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://127.0.0.1/",
        "http://a:b@c/",
    ):
        assert failure_of(far.redirect("/away", location)) == "not_an_address"


def test_a_redirect_is_followed_and_a_circle_of_them_is_not(far: FarServer) -> None:
    far.serve("/end.png", b"here")
    assert fetch(far.redirect("/start", "end.png"), LOOPBACK).content == b"here"
    assert failure_of(far.redirect("/round", "/round")) == "too_many_redirects"
    assert len([one for one in far.asked if one.path == "/round"]) == LOOPBACK.max_redirects + 1


def test_the_socket_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, far: FarServer
) -> None:
    """A name that is another at each question gains nothing: it is asked once, and what was checked is connected to."""
    far.serve("/", b"here")
    asked = leads_to(monkeypatch, "127.0.0.1")
    assert fetch(f"http://rebinding.example:{far.port}/", LOOPBACK).content == b"here"
    assert asked == ["rebinding.example"]
    assert far.asked[0].headers["host"] == f"rebinding.example:{far.port}"


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "8.8.8.8", "10.0.0.1")
    assert failure_of("http://mixed.example/", WORLD) == "address_forbidden"


def test_other_ports_than_the_webs_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "8.8.8.8")
    assert failure_of("http://name.example:6379/", WORLD) == "port_forbidden"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_left_at_the_deadline(far: FarServer, head: bytes) -> None:
    began = time.monotonic()
    assert failure_of(far.drip("/slow", head)) == "timed_out"
    assert time.monotonic() - began < 3


def test_what_is_too_large_is_left_whether_it_says_so_or_not(far: FarServer) -> None:
    assert failure_of(far.serve("/big", b"x" * 20_000)) == "too_large"

    def endless(write: Any) -> None:
        write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            write(b"x" * 5000)

    far.answers["/endless"] = endless
    assert failure_of(far.url("/endless")) == "too_large"


def test_what_is_no_http_is_told_as_that(far: FarServer) -> None:
    far.answers["/smtp"] = lambda write: write(b"220 mail.example ESMTP\r\n")
    assert failure_of(far.url("/smtp")) == "not_http"
    assert failure_of(far.url("/nothing")) == "refused"


@pytest.mark.parametrize(
    "url",
    ["", "/x", "javascript:alert(1)", "http://", "http://a b/", "http://x/\r\nHost: y", "http://x\\@y/"],
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(FetchFailed):
        read_url(url)


def test_what_is_not_ascii_is_encoded() -> None:
    target = read_url("https://Müller.example/größe.png?ü=1")
    assert (target.host, target.path) == ("xn--mller-kva.example", "/gr%C3%B6%C3%9Fe.png?%C3%BC=1")


def test_a_post_says_what_it_was_told_and_follows_nothing(far: FarServer) -> None:
    far.redirect("/leave", "http://169.254.169.254/", 307)
    status = post(far.url("/leave"), b"List-Unsubscribe=One-Click", LOOPBACK, {"X-A": "b"})
    assert status == 307
    assert [(one.method, one.body) for one in far.asked] == [("POST", b"List-Unsubscribe=One-Click")]


def test_only_https_is_asked_where_only_that_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "8.8.8.8")
    assert failure_of("http://name.example/", FetchPolicy(only_secure=True)) == "not_secure"
