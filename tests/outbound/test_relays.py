"""Relays from the environment: their URLs, their rows, and where their passwords are not."""

import pytest

from apps.outbound.errors import RelayAddressInvalid, RelayUnavailable
from apps.outbound.models import Relay, RelaySecurity
from apps.outbound.relays import environment as relays
from apps.outbound.relays.catalogue import active_relays
from apps.outbound.relays.endpoints import endpoint_of
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.wire.endpoint import Endpoint, parse_relay_url


@pytest.mark.parametrize(
    ("url", "port", "security"),
    [
        ("smtp://relay.test", 25, RelaySecurity.OPPORTUNISTIC),
        ("smtp://relay.test:2526", 2526, RelaySecurity.OPPORTUNISTIC),
        ("smtp://relay.test?tls=none", 25, RelaySecurity.NONE),
        ("smtp://relay.test?tls=required", 25, RelaySecurity.STARTTLS),
        ("smtp://us:word@relay.test", 587, RelaySecurity.STARTTLS),
        ("smtp://us:word@relay.test?tls=none", 587, RelaySecurity.NONE),
        ("smtps://us:word@relay.test", 465, RelaySecurity.TLS),
    ],
)
def test_a_url_says_where_and_how_safely(url: str, port: int, security: RelaySecurity) -> None:
    endpoint = parse_relay_url(url)
    assert (endpoint.host, endpoint.port, endpoint.security) == ("relay.test", port, security)


def test_signs_in_names_and_passwords_are_unquoted() -> None:
    endpoint = parse_relay_url("smtp://us%40x.test:p%3Aw%2F@relay.test?ca=/etc/ca.pem")
    assert (endpoint.username, endpoint.password, endpoint.ca_file) == ("us@x.test", "p:w/", "/etc/ca.pem")
    assert "p:w/" not in repr(endpoint) + str(endpoint) + endpoint.name


@pytest.mark.parametrize(
    "url",
    [
        "http://relay.test",
        "smtp://",
        "smtp://us:secretword@relay.test:99999",
        "smtp://us:secretword@relay.test/path",
        "smtp://us:secretword@relay.test?tls=maybe",
        "smtp://us:secretword@relay.test?colour=red",
        "smtps://us:secretword@relay.test?tls=none",
        "smtp://us:secretword@[relay.test",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(RelayAddressInvalid) as refused:
        parse_relay_url(url)
    assert "secretword" not in str(refused.value)


def test_rows_follow_the_environment_and_never_hold_a_password(db: None) -> None:
    reconcile_relays(["smtp://us:secretword@a.test", "smtp://b.test"])
    assert [relay.name for relay in active_relays()] == ["smtp://us@a.test:587", "smtp://b.test:25"]
    assert "secretword" not in str(list(Relay.objects.values()))
    assert endpoint_of(active_relays()[0]).password == "secretword"

    reconcile_relays(["smtp://b.test", "smtp://c.test"])
    assert [relay.name for relay in active_relays()] == ["smtp://b.test:25", "smtp://c.test:25"]
    assert Relay.objects.count() == 3
    reconcile_relays(["smtp://b.test", "smtp://c.test"])
    assert Relay.objects.count() == 3


def test_a_wrong_url_among_right_ones_changes_nothing(db: None) -> None:
    reconcile_relays(["smtp://a.test"])
    with pytest.raises(RelayAddressInvalid):
        reconcile_relays(["smtp://b.test", "nonsense"])
    assert [relay.name for relay in active_relays()] == ["smtp://a.test:25"]


def test_a_password_this_process_was_never_told_is_an_unavailable_relay(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconcile_relays(["smtp://us:secretword@a.test"])
    (relay,) = active_relays()
    monkeypatch.setattr(relays, "_endpoints", {})
    with pytest.raises(RelayUnavailable, match="not known to this worker"):
        endpoint_of(relay)
    assert endpoint_of(Relay(name="open", host="o.test", port=25, security="none")) == Endpoint(
        "o.test", 25, RelaySecurity.NONE
    )
