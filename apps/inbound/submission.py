"""Submission (RFC 6409): mail from programs and people who have an account, into the road out.

    STARTTLS   before anything but greetings, on loopback too: a secret never goes in the clear (RFC 8314 §3.3)
    AUTH       PLAIN or LOGIN, with an API key or a mailbox's app password
    MAIL       an address the caller may send from; a key or password that was taken back meanwhile ends here
    RCPT       anybody, but not what nobody has in a domain of the caller's own
    DATA       `submit_raw`: the rules, limits and screening of every submission; 250 after its commit

What is refused is answered with its reason in one sentence, and kept by the mail program that wrote it. A failure of
ours is 451. A client that dies between our commit and the 250, or never reads it, repeats the message, which is then
recognised for an hour by its Message-ID or Date and not sent twice; who has read the 250 and sends the same again on
that connection means it.

Messages have threads of their own: one may wait for a scanner or for S3, and whoever signs in or names a recipient
meanwhile does not wait with it.

No Received line is added: it would tell every recipient where the writer sits.

Limits: beyond `REMEMBERED` different messages on one connection, a client that sends the very bytes of an early one
again is taken to repeat it.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.accounts.request_rate import REQUESTS_PER_MINUTE, may_ask, seconds_to_wait
from apps.inbound.credentials import Barred, renewed, sign_in
from apps.inbound.limits import Limits
from apps.inbound.refusals import no_room_yet, refusal_of
from apps.inbound.sasl import MECHANISMS, Credentials, hear_credentials
from apps.inbound.service import Client, Command, RecipientAnswer, Transaction
from apps.organisations.database_threads import DatabaseThreads
from apps.outbound.errors import QuotaReached, SubmissionInvalid
from apps.outbound.submission.given import check_recipient, check_return_path
from apps.outbound.submission.idempotency import digest_of_mail
from apps.outbound.submission.submit import GivenEnvelope, submit_raw

if TYPE_CHECKING:
    from apps.inbound.smtp import SmtpSession

log = structlog.get_logger(__name__)

THREADS = 8
SUBMITTED_AT_ONCE = 8
MAX_FAILURES_OF_A_CONNECTION = 3
REMEMBERED = 10_000
NOT_SIGNED_IN = "530 5.7.0 Sign in first, with AUTH"
WRONG = "535 5.7.8 This name and this key or app password do not fit together"
BARRED = (
    "454 4.7.0 Too many failed tries; wait a quarter of an hour, and look which password your program has"
)
TAKEN_BACK = "535 5.7.8 The key or app password you signed in with was taken back"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is on the line, and how often they have read our 250 for each message."""

    principal: Principal
    acknowledged: Counter[bytes] = field(default_factory=Counter)


class SubmissionDesk:
    """Decides for every connection of the submission port."""

    mail_parameters: Collection[str] = frozenset({"AUTH"})

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = DatabaseThreads(THREADS)
        self._submitting = DatabaseThreads(SUBMITTED_AT_ONCE)
        self.commands: Mapping[str, Command] = MappingProxyType({"AUTH": self._auth})

    def extensions(self, client: Client) -> tuple[str, ...]:
        return (f"AUTH {' '.join(MECHANISMS)}",) if client.tls and client.identity is None else ()

    async def sender(self, client: Client, address: str) -> str:
        who = client.identity
        if not isinstance(who, SignedIn):
            return NOT_SIGNED_IN
        principal, refusal = await self._threads(_answer_sender, who.principal, address)
        client.identity = replace(who, principal=principal) if principal is not None else None
        return refusal

    async def recipient(self, client: Client, address: str) -> RecipientAnswer:
        return await self._threads(_answer_recipient, _signed_in(client).principal, address)

    async def accept(self, client: Client, transaction: Transaction, content: bytes) -> str:
        who = _signed_in(client)
        recipients = transaction.recipients[who.principal.organisation_id]
        envelope = GivenEnvelope(transaction.sender, tuple(recipients))
        return await self._submitting(_submit, who, envelope, content)

    def close(self) -> None:
        self._threads.close(wait=True)
        self._submitting.close(wait=True)

    async def _auth(self, session: "SmtpSession", argument: str) -> None:
        client = session.client
        if not client.extended:
            await session.reply("503 5.5.1 Say EHLO first")
        elif client.identity is not None or session.in_transaction:
            await session.reply("503 5.5.1 AUTH comes once, before MAIL")
        elif not client.tls:
            await session.reply("538 5.7.11 Say STARTTLS first: a secret never goes in the clear")
        else:
            credentials = await hear_credentials(session, argument)
            await session.reply(await self._sign_in(client, credentials))
            if client.failures >= MAX_FAILURES_OF_A_CONNECTION:
                session.end()

    async def _sign_in(self, client: Client, credentials: Credentials) -> str:
        try:
            principal = await self._threads(
                sign_in,
                credentials,
                network_address=client.address,
                counts_address=not self._limits.trusts(client.address),
                now=timezone.now(),
            )
        except Barred:
            client.failures = MAX_FAILURES_OF_A_CONNECTION
            log.warning("submission_barred", peer=client.address)
            return BARRED
        if principal is None:
            client.failures += 1
            # Not the name either: into that field people type passwords.
            log.warning("submission_sign_in_failed", peer=client.address)
            return WRONG
        client.identity = SignedIn(principal)
        log.info("submission_signed_in", peer=client.address, actor=principal.actor)
        return "235 2.7.0 Welcome"


def _signed_in(client: Client) -> SignedIn:
    if isinstance(client.identity, SignedIn):
        return client.identity
    msg = "a transaction began without a caller"
    raise AssertionError(msg)


def _answer_sender(known: Principal, address: str) -> tuple[Principal | None, str]:
    """The caller as of now, None when there is none any more; and the reply that refuses the return path, or ""."""
    principal = renewed(known)
    if principal is None:
        return None, TAKEN_BACK
    if not may_ask(principal):
        seconds = seconds_to_wait()
        said = f"450 4.7.1 More than {REQUESTS_PER_MINUTE} in a minute; try again in {seconds} seconds"
        return principal, said
    try:
        check_return_path(principal, address)
    except SubmissionInvalid as error:
        return principal, refusal_of(error)
    return principal, ""


def _answer_recipient(principal: Principal, address: str) -> RecipientAnswer:
    try:
        check_recipient(principal, address)
    except SubmissionInvalid as error:
        return RecipientAnswer(address, None, refusal_of(error))
    return RecipientAnswer(address, principal.organisation_id)


def _submit(who: SignedIn, envelope: GivenEnvelope, content: bytes) -> str:
    digest = digest_of_mail(envelope.sender, envelope.recipients, content)
    try:
        submitted = submit_raw(
            who.principal, envelope, content, now=timezone.now(), nth=who.acknowledged[digest]
        )
    except SubmissionInvalid as error:
        return refusal_of(error)
    except QuotaReached as error:
        return no_room_yet(error)
    # The client goes on talking once it has read the 250, so the same again is a second message.
    if len(who.acknowledged) > REMEMBERED:
        who.acknowledged.clear()
    who.acknowledged[digest] += 1
    return f"250 2.0.0 Accepted as {submitted.message.pk}"
