import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mime.address import (
    Address,
    InvalidAddress,
    comparable_address,
    normalise_address,
    parse_addresses,
    typed_address,
)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Anna@Example.ORG", "anna@example.org"),
        ("anna@BÜCHER.example", "anna@xn--bcher-kva.example"),
        ('"anna.berg"@example.org', "anna.berg@example.org"),
        ('"anna berg"@example.org', '"anna berg"@example.org'),
        ("anna+tag@example.org", "anna+tag@example.org"),
        ("anna@[192.0.2.1]", "anna@[192.0.2.1]"),
        ("anna@[IPv6:2001:DB8::1]", "anna@[IPv6:2001:db8::1]"),
        ("Jörg@example.org", "jörg@example.org"),
    ],
)
def test_an_address_is_compared_in_one_form(written: str, normal: str) -> None:
    assert normalise_address(written) == normal
    assert normalise_address(normal) == normal


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("anna", "needs an @"),
        ("@example.org", "before the @"),
        ("anna@", "after the @"),
        ("a..b@example.org", "a dot where none may stand"),
        (".a@example.org", "a dot where none may stand"),
        ("a b@example.org", "character"),
        ("a@b@example.org", "character"),
        ("anna@exa mple.org", "not a domain name"),
        ("anna@-example.org", "not a domain name"),
        ("anna@example..org", "not a domain name"),
        ("anna@[300.0.0.1]", "no IP address"),
        ("a" * 65 + "@example.org", "64 octets"),
        ("a@" + ".".join(["b" * 60] * 5), "too long"),
        ("anna@example.org\r\nBcc: x@y.z", "control characters"),
        ("anna\x00@example.org", "control characters"),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong(address: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason):
        normalise_address(address)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("anna@example.org", [("", "anna@example.org")]),
        ("Anna Berg <Anna@Example.org>", [("Anna Berg", "Anna@example.org")]),
        ('"Berg, Anna" <a@x.org>, b@x.org', [("Berg, Anna", "a@x.org"), ("", "b@x.org")]),
        ("a@x.org (Anna (the boss) Berg)", [("Anna (the boss) Berg", "a@x.org")]),
        ("Team: a@x.org, B <b@x.org>;, c@x.org", [("", "a@x.org"), ("B", "b@x.org"), ("", "c@x.org")]),
        ("undisclosed-recipients:;", []),
        ("=?utf-8?q?Berg=2C_=C3=84nne?= <a@x.org>", [("Berg, Änne", "a@x.org")]),
        ('"a@x.org" <b@y.org>', [("a@x.org", "b@y.org")]),
        ("<@relay.example,@other.example:a@x.org>", [("", "a@x.org")]),
        ("mailto:a@x.org", [("", "a@x.org")]),
        ("Anna a@x.org", [("Anna", "a@x.org")]),
        ("'Anna' <a@x.org>", [("Anna", "a@x.org")]),
        ("a@x.org; b@x.org", [("", "a@x.org"), ("", "b@x.org")]),
        ("<a@under_score.example>", [("", "a@under_score.example")]),
        ('"Anna \\"the one\\" Berg" <a@x.org>', [('Anna "the one" Berg', "a@x.org")]),
        ("garbage, <>, @, a@, (unclosed", []),
        ("Anna <a@x.org", [("Anna", "a@x.org")]),
    ],
)
def test_addresses_are_read_as_people_write_them(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_addresses(value) == tuple(Address(name, address) for name, address in expected)


def test_what_is_no_address_is_compared_in_lower_case() -> None:
    assert comparable_address("Elena@KÖLN.example") == "elena@xn--kln-sna.example"
    assert comparable_address("Not An Address") == "not an address"


@pytest.mark.parametrize("name", ["Elena", "", "Ruiz, Elena", 'Elena "Leni" \\ Ruiz', "Größe (Ä)"])
def test_an_address_that_is_typed_with_its_name_is_read_as_it_was(name: str) -> None:
    assert parse_addresses(typed_address(name, "elena@b.example")) == (Address(name, "elena@b.example"),)


def test_no_more_addresses_are_read_than_asked_for() -> None:
    assert len(parse_addresses(", ".join(f"a{n}@x.org" for n in range(50)), limit=7)) == 7


@pytest.mark.parametrize("piece", ["(", '"', "<", ":", ",", "a@:", "\\", "[", "=?a?q?", "((", "a <", "a@b "])
def test_a_hostile_address_list_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    parse_addresses(piece * (200_000 // len(piece)))
    assert time.process_time() - started < 2


@given(st.text())
def test_reading_addresses_never_raises_and_what_it_finds_can_be_stored(value: str) -> None:
    for found in parse_addresses(value):
        assert "@" in found.address
        for text in (found.name, found.address):
            assert not set(text) & set("\x00\r\n")
            text.encode()


@given(st.text())
def test_normalising_raises_nothing_but_invalid_address_and_is_stable(value: str) -> None:
    try:
        normal = normalise_address(value)
    except InvalidAddress:
        return
    assert normalise_address(normal) == normal
