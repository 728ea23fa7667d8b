"""Straight to the recipients' servers: several servers on loopback addresses, found over a real name server."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from apps.names.resolver import Resolver, ResolverPolicy
from apps.outbound.causes import Cause
from apps.outbound.models import Delivery, DeliveryState, Relay
from apps.outbound.relay import RelayRoad
from apps.outbound.relays.direct import Directions
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.relays.mta_sts import Policies, PolicyInvalid, fetcher
from tests.outbound.sending import QUICK, drain, make_due, only_delivery, send
from tests.people import House
from tests.remote.names import NameServer
from tests.remote.policies import Page, PolicyServer
from tests.remote.script import Phase, defer, hang_up, refuse
from tests.remote.server import RemoteServer

RESTING = replace(QUICK.relay, rests_after=2, rest_seconds=3600, rest_ceiling_seconds=3600)


@dataclass
class World:
    """x.example with two servers, mx1 preferred, and what its policy says once there is one."""

    names: NameServer
    mx1: RemoteServer
    mx2: RemoteServer
    relay: Relay
    ca_file: str
    policies: dict[str, str]

    def directions(self) -> Directions:
        async def fetch(domain: str) -> str:
            if domain not in self.policies:
                raise PolicyInvalid("there is none")
            return self.policies[domain]

        resolver = Resolver(
            [("127.0.0.1", self.names.port)], policy=ResolverPolicy(question=0.5, one_try=0.5)
        )
        return Directions(resolver, Policies(resolver, fetch), self.ca_file)

    def demand(self, mode: str, *hosts: str, domain: str = "x.example") -> None:
        """Publish an MTA-STS policy."""
        self.names.say(f"_mta-sts.{domain}", "TXT", '"v=STSv1; id=20260302;"')
        lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), "max_age: 604800"]
        self.policies[domain] = "\r\n".join(lines) + "\r\n"

    def send(self, house: House, recipient: str = "elena@x.example") -> Delivery:
        delivery = only_delivery(send(house.as_key, recipient))
        self.drain()
        delivery.refresh_from_db()
        return delivery

    def drain(self, **changes: object) -> None:
        directions = self.directions()
        policy = replace(QUICK.relay, **changes)  # type: ignore[arg-type]
        drain(road=lambda: RelayRoad(policy, directions=lambda: directions))


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certified(authority: trustme.CA) -> Callable[[str], ssl.SSLContext]:
    def context(name: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(made)
        return made

    return context


@pytest.fixture
def world(house: House, transactional_db: None, authority: trustme.CA, tmp_path: Path) -> Iterator[World]:
    reconcile_relays([])
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with ExitStack() as stack:
        names = stack.enter_context(NameServer())
        mx1 = stack.enter_context(RemoteServer(host="127.0.0.2"))
        mx2 = stack.enter_context(RemoteServer(host="127.0.0.3", port=mx1.port))
        names.say("x.example", "MX", "10 mx1.x.example.")
        names.say("x.example", "MX", "20 mx2.x.example.")
        names.say("mx1.x.example", "A", "127.0.0.2")
        names.say("mx2.x.example", "A", "127.0.0.3")
        relay = Relay.objects.create(
            organisation=house.organisation,
            name="direct",
            kind="direct",
            port=mx1.port,
            hello_name="out.house.test",
            allow_private_networks=True,
        )
        yield World(names, mx1, mx2, relay, str(tmp_path / "ca.pem"), {})


def test_mail_goes_to_the_preferred_server_and_says_whose_it_was(house: House, world: World) -> None:
    delivery = world.send(house)
    assert (delivery.state, delivery.relay) == (DeliveryState.SENT, world.relay)
    server = f"mx1.x.example[127.0.0.2]:{world.mx1.port}"
    assert delivery.attempts.get().server == server
    assert delivery.reason.startswith(f"Accepted by {server}: 250")
    assert world.mx1.commands_of("EHLO") == ["EHLO out.house.test"]
    assert world.mx2.connections == 0


@pytest.mark.parametrize("trouble", ["down", "greeting", "closing"])
def test_the_next_server_is_asked_when_the_first_cannot_be_used(
    house: House, world: World, trouble: str
) -> None:
    if trouble == "down":
        world.mx1.close()
    else:
        world.mx1.play(Phase.CONNECT, refuse(554, "5.7.1 no") if trouble == "greeting" else hang_up())
    delivery = world.send(house)
    assert (delivery.state, delivery.attempts_made) == (DeliveryState.SENT, 1)
    assert len(world.mx2.messages) == 1


def test_of_several_addresses_the_one_that_answers_is_used(house: House, world: World) -> None:
    world.names.forget("mx1.x.example")
    world.names.say("mx1.x.example", "AAAA", "::1")
    world.names.say("mx1.x.example", "A", "127.0.0.9")
    world.names.say("mx1.x.example", "A", "127.0.0.2")
    assert world.send(house).state == DeliveryState.SENT
    assert len(world.mx1.messages) == 1


@pytest.mark.parametrize(
    ("phase", "step", "state"),
    [
        (Phase.RCPT, refuse(), DeliveryState.FAILED),
        (Phase.RCPT, defer(), DeliveryState.DEFERRED),
        (Phase.DOT, hang_up(after_taking=True), DeliveryState.UNCERTAIN),
    ],
)
def test_no_second_server_is_asked_about_what_the_first_has_answered(
    house: House, world: World, phase: Phase, step: object, state: DeliveryState
) -> None:
    world.mx1.play(phase, step)  # type: ignore[arg-type]
    assert world.send(house).state == state
    assert world.mx2.connections == 0


def test_servers_that_are_all_down_are_the_recipients_trouble(house: House, world: World) -> None:
    world.mx1.close()
    world.mx2.close()
    delivery = world.send(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.RECIPIENT_UNAVAILABLE)
    assert "connection refused" in delivery.reason
    assert delivery.setbacks == 1


def test_a_dead_server_is_left_alone_and_its_mail_waits_without_attempts(house: House, world: World) -> None:
    for server in (world.mx1, world.mx2):
        server.play(Phase.CONNECT, hang_up())
    send(house.as_key, *(f"c{n}@x.example" for n in range(30)))
    for _ in range(3):
        world.drain(connections_per_server=1, rests_after=2, rest_seconds=3600, rest_ceiling_seconds=3600)
        make_due()
    assert world.mx1.connections <= 3
    assert world.mx2.connections <= 3
    waiting = Delivery.objects.filter(setbacks=0)
    assert waiting.count() >= 25
    assert set(waiting.values_list("cause", flat=True)) == {Cause.RECIPIENT_UNAVAILABLE}
    assert "is left alone until" in waiting[0].reason


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        ("null.example", "556 5.1.10 null.example says that it takes no mail (null MX)"),
        ("nowhere.example", "550 5.1.2 there is no domain nowhere.example"),
    ],
)
def test_a_domain_that_takes_no_mail_fails_at_once(
    house: House, world: World, domain: str, reason: str
) -> None:
    world.names.say("null.example", "MX", "0 .")
    delivery = world.send(house, f"elena@{domain}")
    assert (delivery.state, delivery.cause, delivery.reason) == (
        DeliveryState.FAILED,
        Cause.RECIPIENT_REFUSED,
        reason,
    )


def test_silent_name_servers_put_mail_off_quickly(house: House, world: World) -> None:
    world.names.down = True
    send(house.as_key, *(f"elena@n{n}.example" for n in range(100)))
    started = time.monotonic()
    world.drain()
    assert time.monotonic() - started < 60
    assert set(Delivery.objects.values_list("state", "cause")) == {("deferred", Cause.RECIPIENT_UNAVAILABLE)}
    assert Delivery.objects.filter(reason__contains="the name servers do not answer").count() > 50


def test_names_that_lead_into_our_network_are_not_followed(house: House, world: World) -> None:
    Relay.objects.update(allow_private_networks=False)
    delivery = world.send(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.RECIPIENT_UNAVAILABLE)
    assert "private networks only (127.0.0.2, 127.0.0.3)" in delivery.reason
    assert world.mx1.connections + world.mx2.connections == 0


def test_another_relay_takes_over_where_names_cannot_be_looked_up(house: House, world: World) -> None:
    world.names.down = True
    Relay.objects.create(
        organisation=house.organisation,
        name="smarthost",
        host="127.0.0.3",
        port=world.mx2.port,
        security="none",
        priority=20,
    )
    assert world.send(house).state == DeliveryState.SENT
    assert len(world.mx2.messages) == 1


def test_domains_that_share_a_server_share_its_lines(house: House, world: World) -> None:
    world.names.say("y.example", "MX", "5 mx1.x.example.")
    send(house.as_key, *(f"c{n}@{domain}" for n in range(10) for domain in ("x.example", "y.example")))
    world.drain(connections_per_server=2)
    assert len(world.mx1.messages) == 20
    assert world.mx1.connections == 2


# MTA-STS


def test_an_enforced_policy_wants_tls_with_a_certificate_for_the_server(
    house: House, world: World, certified: Callable[[str], ssl.SSLContext]
) -> None:
    world.demand("enforce", "*.x.example")
    world.mx1.behave(tls=certified("mx1.x.example"))
    delivery = world.send(house)
    assert delivery.state == DeliveryState.SENT
    assert delivery.attempts.get().tls.startswith("TLSv1.3")


def test_a_policy_fetched_over_https_is_kept(
    house: House, world: World, certified: Callable[[str], ssl.SSLContext]
) -> None:
    world.names.txt("_mta-sts.x.example", "v=STSv1; id=1;")
    world.names.address("mta-sts.x.example", "127.0.0.1")
    resolver = Resolver([("127.0.0.1", world.names.port)])
    with PolicyServer(certified("mta-sts.x.example")) as server:
        server.page = Page(b"version: STSv1\r\nmode: enforce\r\nmx: mx2.x.example\r\nmax_age: 86400\r\n")
        fetch = fetcher(resolver, ca_file=world.ca_file, allow_private=True, port=server.port)
        directions = Directions(resolver, Policies(resolver, fetch), world.ca_file)
        delivery = only_delivery(send(house.as_key, "elena@x.example"))
        drain(road=lambda: RelayRoad(QUICK.relay, directions=lambda: directions))
        delivery.refresh_from_db()
        assert "does not offer STARTTLS, which is required" in delivery.reason
        world.mx2.behave(tls=certified("mx2.x.example"))
        make_due()
        drain(road=lambda: RelayRoad(QUICK.relay, directions=lambda: directions))
        assert len(server.asked) == 1
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT
    assert delivery.attempts.latest("number").tls.startswith("TLSv1.3")
    assert world.mx1.connections == 0


@pytest.mark.parametrize("trouble", ["no tls", "wrong name", "not named"])
def test_an_enforced_policy_that_cannot_be_kept_makes_mail_wait(
    house: House, world: World, certified: Callable[[str], ssl.SSLContext], trouble: str
) -> None:
    world.demand("enforce", "other.example" if trouble == "not named" else "*.x.example")
    if trouble != "no tls":
        for server in (world.mx1, world.mx2):
            server.behave(tls=certified("mx1.x.example" if trouble == "not named" else "elsewhere.example"))
    delivery = world.send(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.RECIPIENT_UNAVAILABLE)
    expected = {
        "no tls": "does not offer STARTTLS, which is required",
        "wrong name": "its certificate is not trusted",
        "not named": "the MTA-STS policy of x.example does not name its mail servers",
    }
    assert expected[trouble] in delivery.reason
    assert world.mx1.messages == world.mx2.messages == []


def test_only_servers_the_policy_names_are_asked(
    house: House, world: World, certified: Callable[[str], ssl.SSLContext]
) -> None:
    world.demand("enforce", "mx2.x.example")
    world.mx2.behave(tls=certified("mx2.x.example"))
    assert world.send(house).state == DeliveryState.SENT
    assert (world.mx1.connections, len(world.mx2.messages)) == (0, 1)


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_a_policy_that_is_only_tested_stops_nothing(house: House, world: World, mode: str) -> None:
    world.demand(mode, "other.example")
    assert world.send(house).state == DeliveryState.SENT
    assert len(world.mx1.messages) == 1


def test_a_policy_that_cannot_be_fetched_stops_nothing(house: House, world: World) -> None:
    world.names.say("_mta-sts.x.example", "TXT", '"v=STSv1; id=1;"')
    assert world.send(house).state == DeliveryState.SENT
