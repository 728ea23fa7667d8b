"""The guard: no address of ours, however it is written."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.webhooks.addresses import check_addresses, is_permitted
from apps.webhooks.errors import AddressForbidden, WebhookInvalid
from apps.webhooks.target import read_target


def test_public_addresses_are_let_through() -> None:
    public = ["8.8.8.8", "2606:4700::1111"]
    assert check_addresses(public, ()) == [ip_address(one) for one in public]


@pytest.mark.parametrize("address", ["127.0.0.1", "fe80::1%eth0"])
def test_an_address_of_the_inside_is_refused(address: str) -> None:
    with pytest.raises(AddressForbidden):
        check_addresses([address], ())


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
