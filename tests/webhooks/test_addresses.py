"""The guard: no address of ours, however it is written."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.webhooks.addresses import check_addresses, is_permitted
from apps.webhooks.errors import AddressForbidden, WebhookInvalid
from apps.webhooks.target import read_target

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "100::1",
]
OUTSIDE = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_the_inside_is_refused(address: str) -> None:
    with pytest.raises(AddressForbidden):
        check_addresses([address], ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_is_let_through(address: str) -> None:
    assert check_addresses([address], ()) == [ip_address(address)]


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(AddressForbidden):
        check_addresses(["8.8.8.8", "10.0.0.1"], ())


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(AddressForbidden):
        check_addresses([], ())


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"])
def test_an_operators_network_is_allowed_however_its_address_is_written(address: str) -> None:
    allowed = [ip_network("10.0.0.0/8")]
    assert is_permitted(ip_address(address), allowed)
    assert not is_permitted(ip_address("192.168.0.1"), allowed)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_let_through(address: object) -> None:
    known = ip_address(str(address))
    if known.is_private or known.is_loopback or known.is_link_local or known.is_multicast:
        assert not is_permitted(known, ())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org:70/",
        "http://example.org/",
        "https://",
        "https://user:secret@example.org/",
        "https://example.org/#top",
        "https://example.org:25/",
        "https://example.org:99999/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/latest/meta-data",
        "https://10.0.0.1:8443/",
        "https://example.org/a b",
        "https://example.org/\r\nHost: x",
        "https://example.org/größe",
        "https://exa\x00mple.org/",
        "https://" + "a" * 3000 + ".example/",
        "https://-.example/\u2028",
    ],
)
def test_a_url_that_must_not_be_called_is_refused_at_once(url: str) -> None:
    with pytest.raises(WebhookInvalid) as caught:
        read_target(url, ())
    assert caught.value.field == "url"


def test_a_url_is_taken_apart() -> None:
    target = read_target("https://Müller.example:8443/in?shop=1", ())
    assert (target.host, target.port, target.path) == ("xn--mller-kva.example", 8443, "/in?shop=1")
    assert target.host_header == "xn--mller-kva.example:8443"
    assert read_target("https://example.org", ()).path == "/"
    assert read_target("https://[2606:4700::1111]/", ()).host_header == "[2606:4700::1111]"


@given(st.text(max_size=60))
def test_whatever_is_written_as_a_url_is_read_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://x.example/{text}"):
        try:
            target = read_target(url, ())
        except WebhookInvalid:
            continue
        assert target.host.isascii()
        assert target.path.startswith("/")
        assert not set(target.path) & set("\r\n ")
