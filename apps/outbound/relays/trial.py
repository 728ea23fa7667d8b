"""The test button: a real conversation with a relay, told step by step. Nothing is sent.

    route, resolve     where it is; for a direct relay the recipient's servers and what their domain demands
    connect … auth     as for a mail, with the relay's own settings and password
    certificate        whose it is and until when, also where it is not checked or does not hold
    mail, rcpt         asked when there is a recipient, and taken back with RSET

All of it takes `TOTAL_SECONDS` at most. It goes by no breaker and tells none: whoever tests wants to know how the relay
is now.
"""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.bounces.policy import Nature, nature_of
from apps.outbound.errors import ConversationError, RelayInvalid, RelayRefused, RelayUnavailable
from apps.outbound.models import CertificatePolicy, Relay, RelaySecurity
from apps.outbound.relays.advice import advice_on, advice_on_reply
from apps.outbound.relays.certificate import Certificate, certificate_of
from apps.outbound.relays.direct import Directions, endpoint_for, servers_of, usual_directions
from apps.outbound.relays.endpoints import endpoint_of
from apps.outbound.wire.conversation import Conversation, Envelope, Timeouts
from apps.outbound.wire.endpoint import Endpoint

TOTAL_SECONDS = 20.0
PATIENCE = Timeouts(connect=8, greeting=8, command=8, data=8, block=8, dot=8, farewell=1)
EXPIRES_SOON = timedelta(days=14)

_TOLD_EXTENSIONS = ("STARTTLS", "AUTH", "SIZE", "PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING")
_PHASES = ("connect", "greeting", "ehlo", "starttls", "auth")
# What a refusal can say of the recipient that says nothing of the relay: other mail goes over it.
_OF_RECIPIENT = frozenset({Nature.NO_SUCH_ADDRESS, Nature.NO_SUCH_DOMAIN, Nature.CLOSED, Nature.MAILBOX_FULL})


@dataclass(frozen=True, slots=True)
class Step:
    """`ok` None: nothing is broken, but it is worth a look. `advice` is "" where nothing needs doing. With
    `of_recipient` the recipient is what is wrong, not the relay."""

    step: str
    ok: bool | None
    detail: str
    advice: str = ""
    ms: int | None = None
    of_recipient: bool = False

    @property
    def title(self) -> str:
        """The step's name for people."""
        return _titles().get(self.step, self.step.upper())


@dataclass
class Trial:
    """What a test came to, in the order in which it happened."""

    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok is not False for step in self.steps)

    @property
    def recipient_refused(self) -> bool:
        """Nothing failed but the recipient who was asked about: mail to others can go."""
        failed = [step for step in self.steps if step.ok is False]
        return bool(failed) and all(step.of_recipient for step in failed)

    def note(
        self,
        step: str,
        detail: str,
        *,
        ok: bool | None = True,
        advice: str = "",
        ms: int | None = None,
        of_recipient: bool = False,
    ) -> None:
        self.steps.append(Step(step, ok, detail, advice, ms, of_recipient))


def _titles() -> dict[str, str]:
    return {
        "route": _("Route"),
        "resolve": _("Address"),
        "connect": _("Connection"),
        "greeting": _("Greeting"),
        "ehlo": _("What it offers"),
        "starttls": _("Encryption"),
        "tls": _("Encryption"),
        "certificate": _("Certificate"),
        "auth": _("Signing in"),
        "mail": _("Sender"),
        "rcpt": _("Recipient"),
        "time": _("Time"),
    }


def demand_may_try(principal: Principal) -> None:
    """A test uses the relay's password. Raises AdminsOnly."""
    if not principal.is_admin:
        raise AdminsOnly(_("Only admins test relays."))


async def try_relay(
    relay: Relay,
    *,
    sender: str = "",
    recipient: str = "",
    directions: Directions | None = None,
    total_seconds: float = TOTAL_SECONDS,
) -> Trial:
    """Try it now. `sender` "" is the null return path. Raises RelayInvalid for addresses that are none."""
    envelope = Envelope(_address("sender", sender), _address("recipient", recipient))
    if relay.is_direct and not recipient:
        raise RelayInvalid("recipient", _("A direct relay is tried with a recipient: their server is asked."))
    trial = Trial()
    try:
        async with asyncio.timeout(total_seconds):
            await _hold(trial, relay, envelope, directions or usual_directions())
    except TimeoutError:
        trial.note("time", _("The test was ended after %(n)d seconds.") % {"n": total_seconds}, ok=False)
    return trial


def _address(name: str, address: str) -> str:
    if not address:
        return ""
    try:
        return normalise_address(address)
    except InvalidAddress as error:
        raise RelayInvalid(name, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


async def _hold(trial: Trial, relay: Relay, envelope: Envelope, directions: Directions) -> None:
    try:
        endpoint = await _place(trial, relay, envelope, directions)
    except (RelayUnavailable, RelayRefused) as error:
        # A domain that takes no mail refuses for good; while nobody can tell, it may be our resolver.
        refused = isinstance(error, RelayRefused)
        trial.note("resolve", _sentence(error.public), ok=False, of_recipient=refused)
        return
    if endpoint is None:
        return
    async with _conversation(endpoint) as conversation:
        try:
            await conversation.open()
        except ConversationError as error:
            _tell_opening(trial, conversation, endpoint, error)
            await _tell_certificate(trial, conversation, endpoint, error)
            return
        _tell_opening(trial, conversation, endpoint, None)
        await _tell_certificate(trial, conversation, endpoint, None)
        if envelope.recipient:
            await _rehearse(trial, conversation, endpoint, envelope)


@asynccontextmanager
async def _conversation(endpoint: Endpoint) -> AsyncIterator[Conversation]:
    conversation = Conversation(endpoint, PATIENCE)
    try:
        yield conversation
    finally:
        await conversation.close()


# where it is


async def _place(trial: Trial, relay: Relay, envelope: Envelope, directions: Directions) -> Endpoint | None:
    """Where to connect, once that is known. Raises RelayUnavailable, RelayRefused."""
    if not relay.is_active:
        trial.note("route", _("The relay is paused: it is tried, and mail goes elsewhere."), ok=None)
    if relay.is_direct:
        return await _place_of_recipient(trial, relay, envelope.recipient.rpartition("@")[2], directions)
    endpoint = endpoint_of(relay)
    began = time.monotonic()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        trial.note(
            "resolve",
            _("%(host)s cannot be found: %(why)s.") % {"host": endpoint.host, "why": error.strerror},
            ok=False,
            advice=_("Check the host name for slips. The name servers of this machine must know it."),
            ms=_since(began),
        )
        return None
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    trial.note(
        "resolve", _("%(host)s is at %(at)s.") % {"host": endpoint.host, "at": addresses}, ms=_since(began)
    )
    return endpoint


async def _place_of_recipient(trial: Trial, relay: Relay, domain: str, directions: Directions) -> Endpoint:
    began = time.monotonic()
    demands = await directions.policies.of(domain)
    servers = await servers_of(domain, relay, demands, directions, random.SystemRandom())
    names = ", ".join(f"{one.host} ({', '.join(one.addresses)})" for one in servers[:3])
    trial.note(
        "resolve",
        _("Mail for %(domain)s goes to %(servers)s.") % {"domain": domain, "servers": names},
        ms=_since(began),
    )
    if demands is not None:
        trial.note(
            "mta-sts",
            _("%(domain)s has an MTA-STS policy in mode %(mode)s.")
            % {"domain": domain, "mode": demands.mode},
        )
    return endpoint_for(relay, servers[0], demands, directions)


# the conversation


def _tell_opening(
    trial: Trial, conversation: Conversation, endpoint: Endpoint, error: ConversationError | None
) -> None:
    """The phases up to signing in, as far as they came."""
    for phase in _PHASES:
        failed = error is not None and error.phase == phase
        if not failed and phase not in conversation.phases_ms:
            continue
        ms = conversation.phases_ms.get(phase)
        if failed and error is not None:
            trial.note(phase, _sentence(error.public), ok=False, advice=advice_on(error, endpoint), ms=ms)
            return
        trial.note(phase, _told(phase, conversation, endpoint), ms=ms)
    if error is not None:
        trial.note(error.phase, _sentence(error.public), ok=False, advice=advice_on(error, endpoint))
        return
    _tell_what_is_missing(trial, conversation, endpoint)


def _told(phase: str, conversation: Conversation, endpoint: Endpoint) -> str:
    match phase:
        case "connect":
            return _("Connected to %(address)s, port %(port)d.") % {
                "address": conversation.peer_address,
                "port": endpoint.port,
            }
        case "greeting":
            return _("It greets: %(text)s") % {"text": conversation.greeting}
        case "ehlo":
            offers = [
                f"{keyword} {conversation.extensions[keyword]}".strip()
                for keyword in _TOLD_EXTENSIONS
                if keyword in conversation.extensions
            ]
            return _("It offers %(offers)s.") % {"offers": ", ".join(offers) or _("nothing special")}
        case "starttls":
            return _("Encrypted with %(tls)s.") % {"tls": conversation.tls}
        case _:
            return _("Signed in as %(user)s.") % {"user": endpoint.username}


def _tell_what_is_missing(trial: Trial, conversation: Conversation, endpoint: Endpoint) -> None:
    if conversation.tls and endpoint.security == RelaySecurity.TLS:
        trial.note("tls", _("Encrypted from the first byte with %(tls)s.") % {"tls": conversation.tls})
    if not conversation.tls:
        advice = _(
            "Fine on one machine or a line you trust. Otherwise everybody in between can read the mail."
        )
        trial.note("tls", _("The line is not encrypted."), ok=None, advice=advice)
    if not endpoint.username and "AUTH" in conversation.extensions:
        trial.note(
            "auth",
            _("It offers signing in, and the relay has no user name."),
            ok=None,
            advice=_("If it refuses mail below, give the relay a user name and a password."),
        )


async def _rehearse(trial: Trial, conversation: Conversation, endpoint: Endpoint, envelope: Envelope) -> None:
    try:
        replies = await conversation.rehearse(envelope)
    except ConversationError as error:
        trial.note(error.phase, _sentence(error.public), ok=False, advice=advice_on(error, endpoint))
        return
    for phase, address, reply in zip(
        ("mail", "rcpt"), (envelope.sender, envelope.recipient), replies, strict=False
    ):
        ok = True if reply.positive else None if reply.code < 500 else False
        detail = _("Asked about %(address)s, it answers: %(reply)s") % {
            "address": f"<{address}>",
            "reply": reply,
        }
        of_recipient = phase == "rcpt" and nature_of(reply.enhanced, reply.text) in _OF_RECIPIENT
        trial.note(
            phase,
            detail,
            ok=ok,
            advice="" if of_recipient and ok is False else advice_on_reply(phase, reply.code),
            ms=conversation.phases_ms.get(phase),
            of_recipient=of_recipient,
        )


# the certificate


async def _tell_certificate(
    trial: Trial, conversation: Conversation, endpoint: Endpoint, error: ConversationError | None
) -> None:
    tls = conversation.ssl_object
    if tls is not None:
        shown = certificate_of(tls)
    elif error is not None and error.phase in {"connect", "starttls"}:
        shown = await _look_without_checking(endpoint)
    else:
        return
    if shown is not None:
        trial.steps.append(_about(shown, endpoint, timezone.now(), held=error is None))


async def _look_without_checking(endpoint: Endpoint) -> Certificate | None:
    """One that did not hold: looked at once more, without a password and without a mail."""
    unchecked = replace(endpoint, certificates=CertificatePolicy.IGNORED, username="", password="")
    async with _conversation(unchecked) as conversation:
        try:
            await conversation.open()
        except ConversationError:
            return None
        tls = conversation.ssl_object
        return certificate_of(tls) if tls is not None else None


def _about(shown: Certificate, endpoint: Endpoint, now: datetime, *, held: bool) -> Step:
    detail = _("It is for %(names)s, issued by %(issuer)s, and good until %(until)s.") % {
        "names": ", ".join(shown.names[:5]),
        "issuer": _("itself") if shown.is_self_signed else shown.issuer,
        "until": f"{shown.expires_at.astimezone(UTC):%Y-%m-%d}",
    }
    if held and endpoint.checks_certificate:
        soon = shown.expires_at - now < EXPIRES_SOON
        advice = _("It runs out soon: see that it is renewed.") if soon else ""
        return Step(
            "certificate", None if soon else True, f"{detail} {_('It was checked and holds.')}", advice
        )
    if not held:
        return Step("certificate", ok=False, detail=f"{detail} {_('It does not hold.')}")
    faults = _faults(shown, endpoint.host, now)
    told = f"{detail} {_('It is not checked.')}"
    if faults:
        return Step("certificate", ok=None, detail=f"{told} {' '.join(faults)}")
    return Step("certificate", ok=True, detail=told)


def _faults(shown: Certificate, host: str, now: datetime) -> list[str]:
    faults = []
    if shown.expires_at <= now:
        faults.append(_("It has run out."))
    if not shown.covers(host):
        faults.append(_("It is not for %(host)s.") % {"host": host})
    return faults


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
