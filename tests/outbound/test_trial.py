"""The test button against servers that are well, broken, mute and badly certified."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from apps.names.resolver import Resolver, ResolverPolicy
from apps.organisations.sealing import seal
from apps.outbound.errors import RelayInvalid
from apps.outbound.models import Relay
from apps.outbound.relays import endpoints
from apps.outbound.relays.direct import Directions
from apps.outbound.relays.mta_sts import Policies, PolicyInvalid
from apps.outbound.relays.trial import Step, Trial, try_relay
from apps.outbound.wire.endpoint import Endpoint
from tests.remote.names import NameServer
from tests.remote.script import Answer, Phase, defer, hang_up, refuse
from tests.remote.server import RemoteServer


def relay_at(remote: RemoteServer, *, password: str = "", **columns: Any) -> Relay:
    relay = Relay(
        **{"name": "a relay", "host": "127.0.0.1", "port": remote.port, "security": "none", **columns}
    )
    if password:
        relay.sealed_secret = seal(password.encode(), relay.seal_purpose)
    return relay


def steps(trial: Trial) -> dict[str, Step]:
    return {step.step: step for step in trial.steps}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority this machine trusts, as far as relays go."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    real = Endpoint

    def trusting(**fields: Any) -> Endpoint:
        return real(**fields, ca_file=str(tmp_path / "ca.pem"))

    monkeypatch.setattr(endpoints, "Endpoint", trusting)
    return authority


async def test_a_relay_that_is_well_is_told_step_by_step(remote: RemoteServer, trusted: trustme.CA) -> None:
    remote.behave(tls=certified(trusted, "127.0.0.1"), users={"us": "secret word"})
    relay = relay_at(remote, security="starttls", username="us", password="secret word")
    trial = await try_relay(relay, sender="a@house.test", recipient="elena@x.example")
    assert trial.ok
    assert [step.step for step in trial.steps] == [
        "resolve",
        "connect",
        "greeting",
        "ehlo",
        "starttls",
        "auth",
        "certificate",
        "mail",
        "rcpt",
    ]
    told = steps(trial)
    assert "remote.test ESMTP" in told["greeting"].detail
    assert "AUTH PLAIN LOGIN" in told["ehlo"].detail
    assert "TLSv1.3" in told["starttls"].detail
    assert "It was checked and holds." in told["certificate"].detail
    assert told["auth"].detail == "Signed in as us."
    assert "250 2.1.5 recipient fine" in told["rcpt"].detail
    assert "secret word" not in repr(trial)
    assert remote.messages == []
    assert remote.commands[-2:] == ["RSET", "QUIT"]


async def test_without_a_recipient_it_ends_after_signing_in(remote: RemoteServer) -> None:
    trial = await try_relay(relay_at(remote))
    assert trial.ok
    assert remote.commands_of("MAIL") == []
    assert steps(trial)["tls"].ok is None


@pytest.mark.parametrize(
    ("phase", "step", "failed", "advice"),
    [
        (Phase.CONNECT, Answer(554, "5.7.1 no"), "greeting", "block list"),
        (Phase.CONNECT, Answer(421, "4.7.0 busy"), "greeting", "too busy"),
        (Phase.CONNECT, hang_up(), "greeting", "is this a mail server"),
        (Phase.EHLO, refuse(550, "5.7.1 who"), "ehlo", "greeting name"),
        (Phase.MAIL, refuse(550, "5.7.1 not yours"), "mail", "own the address"),
        (Phase.RCPT, refuse(550, "5.7.1 relaying denied"), "rcpt", "relaying is denied"),
    ],
)
async def test_what_fails_is_named_with_what_to_do(
    remote: RemoteServer, phase: Phase, step: Any, failed: str, advice: str
) -> None:
    remote.play(phase, step)
    trial = await try_relay(relay_at(remote), sender="a@house.test", recipient="elena@x.example")
    assert not trial.ok
    assert [one.step for one in trial.steps if one.ok is False] == [failed]
    assert advice in steps(trial)[failed].advice


@pytest.mark.parametrize(
    ("answer", "is_theirs"),
    [
        (refuse(550, "5.1.1 no such user"), True),
        (refuse(550, "User unknown in virtual mailbox table"), True),
        (refuse(552, "5.2.2 mailbox full"), True),
        (refuse(550, "5.7.1 relaying denied"), False),
        (refuse(554, "5.7.1 Client host blocked using zen.spamhaus.org"), False),
        (refuse(550, "no"), False),
    ],
)
async def test_a_refused_recipient_is_told_from_a_relay_that_takes_nothing(
    remote: RemoteServer, answer: Any, *, is_theirs: bool
) -> None:
    remote.play(Phase.RCPT, answer)
    trial = await try_relay(relay_at(remote), recipient="elena@x.example")
    assert not trial.ok
    assert trial.recipient_refused is is_theirs
    assert bool(steps(trial)["rcpt"].advice) is not is_theirs


async def test_greylisting_is_worth_a_look_and_no_failure(remote: RemoteServer) -> None:
    remote.play(Phase.RCPT, defer(450, "4.2.0 greylisted"))
    trial = await try_relay(relay_at(remote), recipient="elena@x.example")
    assert trial.ok
    assert steps(trial)["rcpt"].ok is None


async def test_a_wrong_password_is_told_and_not_shown(remote: RemoteServer) -> None:
    remote.behave(users={"us": "right"})
    trial = await try_relay(relay_at(remote, username="us", password="wrong word"))
    assert "User name or password is wrong" in steps(trial)["auth"].advice
    assert "wrong word" not in repr(trial)


async def test_a_closed_port_is_told(remote: RemoteServer) -> None:
    remote.close()
    trial = await try_relay(relay_at(remote))
    assert "nothing listens on port" in steps(trial)["connect"].advice


async def test_a_name_nobody_knows_is_told(remote: RemoteServer) -> None:
    trial = await try_relay(relay_at(remote, host="no-such-host.invalid"))
    assert [step.step for step in trial.steps] == ["resolve"]
    assert "host name" in trial.steps[0].advice


@pytest.mark.parametrize(
    ("name", "is_trusted", "advice"),
    [("elsewhere.example", True, "for another name"), ("127.0.0.1", False, "No authority we know")],
)
async def test_a_certificate_that_does_not_hold_is_shown_with_why(
    remote: RemoteServer, trusted: trustme.CA, name: str, advice: str, *, is_trusted: bool
) -> None:
    remote.behave(tls=certified(trusted if is_trusted else trustme.CA(), name), users={"us": "word"})
    relay = relay_at(remote, security="starttls", username="us", password="word")
    trial = await try_relay(relay)
    told = steps(trial)
    assert advice in told["starttls"].advice
    assert told["certificate"].ok is False
    assert name in told["certificate"].detail
    assert remote.commands_of("AUTH") == []


async def test_a_certificate_nobody_checks_is_told_with_its_faults(remote: RemoteServer) -> None:
    remote.behave(tls=certified(trustme.CA(), "elsewhere.example"))
    trial = await try_relay(relay_at(remote, security="opportunistic"))
    assert trial.ok
    told = steps(trial)["certificate"]
    assert told.ok is None
    assert "It is not checked. It is not for 127.0.0.1." in told.detail


async def test_a_mute_server_ends_the_test_in_time(remote: RemoteServer) -> None:
    stall = remote.stall(Phase.CONNECT)
    trial = await try_relay(relay_at(remote), total_seconds=0.3)
    stall.release()
    assert trial.steps[-1].step == "time"
    assert not trial.ok


async def test_a_direct_relay_is_tried_at_the_recipients_server() -> None:
    async def fetch(_domain: str) -> str:
        raise PolicyInvalid("there is none")

    with NameServer() as names, RemoteServer(host="127.0.0.2") as remote:
        names.say("x.example", "MX", "10 mx.x.example.")
        names.say("mx.x.example", "A", "127.0.0.2")
        resolver = Resolver([("127.0.0.1", names.port)], policy=ResolverPolicy(question=2))
        directions = Directions(resolver, Policies(resolver, fetch))
        relay = relay_at(remote, kind="direct", host="", allow_private_networks=True)
        trial = await try_relay(relay, recipient="elena@x.example", directions=directions)
        assert trial.ok
        assert "mx.x.example (127.0.0.2)" in steps(trial)["resolve"].detail
        nowhere = await try_relay(relay, recipient="elena@none.example", directions=directions)
        assert "there is no domain none.example" in nowhere.steps[0].detail
        assert nowhere.recipient_refused
        guarded = relay_at(remote, kind="direct", host="")
        refused = await try_relay(guarded, recipient="elena@x.example", directions=directions)
        assert "private networks only" in refused.steps[0].detail
        assert not refused.recipient_refused
        with pytest.raises(RelayInvalid, match="recipient"):
            await try_relay(relay, directions=directions)
