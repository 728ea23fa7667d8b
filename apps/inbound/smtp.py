"""One SMTP conversation (RFC 5321): the protocol, and none of the decisions, which its `Service` makes.

    proxy header (configured peers only) → counted by the gate → 220 → commands → 221 or 421

Extensions: SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), PIPELINING (RFC 2920), ENHANCEDSTATUSCODES
(RFC 2034), STARTTLS (RFC 3207), and what the service adds.

A failure of ours is 451 and the conversation goes on; only what the client said wrong is 5xx. The time a client may
take stands still while we are at work: a connection must not be closed on a sender whose message is being committed.
"""

import asyncio
import socket
from dataclasses import dataclass, field

import structlog

from apps.inbound.certificates import Certificates
from apps.inbound.data import DataReader
from apps.inbound.errors import (
    DataRefused,
    Draining,
    LineRefused,
    NotProxied,
    PeerGone,
    TlsFailed,
    WaitedTooLong,
)
from apps.inbound.grammar import check_mail_parameters, parse_path, refuse_any
from apps.inbound.limits import Gate, plain_address
from apps.inbound.proxied import read_client_address
from apps.inbound.rates import Counted, Rates
from apps.inbound.service import Client, Service, Transaction
from apps.inbound.tally import Tally
from apps.inbound.wire import Wire
from apps.mime.clean import clean_line

log = structlog.get_logger(__name__)

OUR_FAILURE = "451 4.3.0 Temporary failure here, try again later"
GOODBYE = "421 4.3.2 Service is stopping, try again later"
TOO_SLOW = "421 4.4.2 Waited too long for you"
NOT_OFFERED = "502 5.5.1 Command not offered here"
# A browser tricked into posting to our port speaks HTTP; nothing it says may be taken for SMTP.
_OTHER_PROTOCOLS = frozenset({"GET", "POST", "PUT", "CONNECT", "OPTIONS", "HEAD"})
_WITHOUT_TLS = frozenset({"EHLO", "HELO", "STARTTLS", "NOOP", "RSET", "QUIT", "HELP"})


@dataclass(frozen=True, slots=True)
class ListenerKind:
    """What all connections of one listener have in common. `name` stands in logs and figures."""

    service: Service
    gate: Gate
    rates: Rates | None = None
    tally: Tally | None = None
    name: str = "smtp"
    hostname: str = field(default_factory=socket.gethostname)
    certificates: Certificates | None = None
    requires_tls: bool = False


class SmtpSession:
    """One client's connection, from 220 to its end."""

    def __init__(self, kind: ListenerKind, wire: Wire) -> None:
        self.kind = kind
        self.client = Client()
        self._wire = wire
        self._limits = kind.gate.limits
        self._service = kind.service
        self._transaction: Transaction | None = None
        self._waits_for_command = False
        self._draining = False
        self._ending = False
        self._errors = 0
        self._idle_commands = 0
        self._entered = ""
        self._must_end_at = 0.0
        self._commands = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "STARTTLS": self._starttls,
            "RSET": self._rset,
            "NOOP": self._noop,
            "VRFY": self._vrfy,
            "HELP": self._help,
            "QUIT": self._quit,
        }

    # -- the conversation

    async def converse(self) -> None:
        """Serve until either side ends it. Raises nothing."""
        try:
            await self._open()
            while not self._ending:
                await self._answer_next()
        except WaitedTooLong:
            self._write(TOO_SLOW)
        except Draining:
            self._write(GOODBYE)
        except (PeerGone, TlsFailed, NotProxied) as error:
            # Nobody is left to answer; what was accepted is committed, what was not is the sender's still.
            log.debug("smtp_peer_gone", peer=self.client.address, reason=str(error))
        except Exception:
            log.exception("smtp_session_failed", peer=self.client.address)
            self._write(GOODBYE)
        finally:
            if self._entered:
                self.kind.gate.leave(self._entered)
            self._wire.close()

    def drain(self) -> None:
        """End soon: now when waiting for a command, else after what is being answered."""
        self._draining = True
        if self._waits_for_command:
            self._wire.interrupt(Draining())

    def abort(self) -> None:
        """End now, whatever is going on."""
        self._wire.abort()

    @property
    def in_transaction(self) -> bool:
        """Whether MAIL has been said and the message has not come yet."""
        return self._transaction is not None

    def end(self) -> None:
        """Hang up once the command at hand is answered."""
        self._ending = True

    async def reply(self, text: str, *, counts: bool = True) -> None:
        """Answer; refusals are counted. A client may take as long to read it as to say a command."""
        self._write(text, counts=counts)
        if not self._wire.is_writable:
            self._allow_command()
            await self._wire.flush()

    def _write(self, text: str, *, counts: bool = True) -> None:
        if text[0] in "45":
            self._errors += counts
            if self.kind.tally is not None:
                self.kind.tally.count(self.kind.name, text)
        self._wire.write(text.encode() + b"\r\n")

    async def challenge(self, text: str) -> bytes:
        """Answer 334 and read what the client says to it (RFC 4954 §4). Raises LineRefused."""
        await self.reply(f"334 {text}")
        self._allow_command()
        line = await self._wire.line(self._limits.max_challenge_bytes)
        self._wire.allow(None)
        return line

    async def _open(self) -> None:
        gate = self.kind.gate
        address = plain_address(self._wire.peername)
        if self._limits.is_proxy(address):
            address = await read_client_address(self._wire) or address
            self._wire.allow(None)
        self.client.address = plain_address((address,))
        self._must_end_at = asyncio.get_running_loop().time() + self._limits.session_seconds
        self._entered = self.client.address or "?"
        refusal = gate.enter(self._entered) or await self._too_often(Counted.CONNECTIONS)
        if refusal:
            self._ending = True
            await self.reply(refusal)
            return
        self._wire.write(f"220 {self.kind.hostname} ESMTP\r\n".encode())

    async def _too_often(self, counted: Counted) -> str:
        rates = self.kind.rates
        return await rates.refusal(counted, self.client.address) if rates is not None else ""

    def _allow_command(self) -> None:
        left = self._must_end_at - asyncio.get_running_loop().time()
        self._wire.allow(max(0.001, min(self.kind.gate.command_seconds, left)))

    async def _answer_next(self) -> None:
        self._allow_command()
        self._waits_for_command = True
        try:
            line = await self._wire.line(self._limits.max_command_bytes)
        except LineRefused as refused:
            await self.reply(refused.reply)
        else:
            self._waits_for_command = False
            self._wire.allow(None)
            await self._answer(line)
        finally:
            self._waits_for_command = False
        if self._ending:
            return
        if self._draining:
            raise Draining
        if self._errors > self._limits.max_errors or self._idle_commands > self._limits.max_idle_commands:
            self._ending = True
            await self.reply("421 4.7.0 Too many commands that lead nowhere")

    async def _answer(self, line: bytes) -> None:
        verb, _space, argument = line.decode("utf-8", "surrogateescape").partition(" ")
        verb = verb.upper()
        if verb in _OTHER_PROTOCOLS:
            self._ending = True
            await self.reply("421 4.7.0 This is SMTP")
            return
        command = self._commands.get(verb)
        added = self._service.commands.get(verb)
        if verb not in {"MAIL", "RCPT", "DATA"}:
            self._idle_commands += 1
        try:
            if self.kind.requires_tls and not self.client.tls and verb not in _WITHOUT_TLS:
                await self.reply("530 5.7.0 Say STARTTLS first")
            elif command is not None:
                await command(argument.strip())
            elif added is not None:
                await added(self, argument.strip())
            else:
                await self.reply(
                    NOT_OFFERED if verb in {"AUTH", "EXPN"} else "500 5.5.2 Command not recognised"
                )
        except LineRefused as refused:
            await self.reply(refused.reply)
        except (PeerGone, TlsFailed, WaitedTooLong):
            raise
        except Exception:
            # Never 5xx: a failure of our database would bounce people's mail.
            log.exception("smtp_command_failed", peer=self.client.address, command=verb[:20])
            await self.reply(OUR_FAILURE)

    # -- commands

    async def _ehlo(self, argument: str) -> None:
        if not await self._greet(argument, extended=True):
            return
        lines = [
            self.kind.hostname,
            f"SIZE {self._limits.max_size_bytes}",
            "8BITMIME",
            "SMTPUTF8",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
        ]
        if self._may_start_tls():
            lines.append("STARTTLS")
        lines += self._service.extensions(self.client)
        *first, last = lines
        await self.reply("\r\n".join([*(f"250-{line}" for line in first), f"250 {last}"]))

    async def _helo(self, argument: str) -> None:
        if await self._greet(argument, extended=False):
            await self.reply(f"250 {self.kind.hostname}")

    async def _greet(self, argument: str, *, extended: bool) -> bool:
        name = clean_line(argument, 255)
        if not name:
            await self.reply("501 5.5.4 Say who you are")
            return False
        self._transaction = None
        self.client.helo, self.client.extended = name, extended
        return True

    def _may_start_tls(self) -> bool:
        certificates = self.kind.certificates
        return not self.client.tls and certificates is not None and certificates.context() is not None

    async def _starttls(self, argument: str) -> None:
        certificates = self.kind.certificates
        context = certificates.context() if certificates is not None else None
        if context is None:
            await self.reply(NOT_OFFERED)
        elif argument:
            await self.reply("501 5.5.4 STARTTLS takes no argument")
        elif self.client.tls:
            await self.reply("503 5.5.1 This is TLS already")
        else:
            tls = await self._wire.start_tls(
                context, b"220 2.0.0 Go ahead\r\n", seconds=self._limits.handshake_seconds
            )
            # RFC 3207 §4.2: whatever was said in the clear was never said.
            self.client = Client(address=self.client.address, tls=tls)
            self._transaction = None

    async def _mail(self, argument: str) -> None:
        if not self.client.helo:
            await self.reply("503 5.5.1 Say EHLO first")
            return
        if self._transaction is not None:
            await self.reply("503 5.5.1 The sender has been said; RSET forgets it")
            return
        path = parse_path(argument, "FROM:", extended=self.client.extended)
        added = self._service.mail_parameters
        known = {name: value for name, value in path.parameters.items() if name not in added}
        check_mail_parameters(known, max_size_bytes=self._limits.max_size_bytes)
        refusal = await self._too_often(Counted.MESSAGES)
        if refusal := refusal or await self._service.sender(self.client, path.address):
            await self.reply(refusal)
            return
        self._transaction = Transaction(path.address, utf8="SMTPUTF8" in path.parameters)
        await self.reply("250 2.1.0 Sender is noted")

    async def _rcpt(self, argument: str) -> None:
        transaction = self._transaction
        if transaction is None:
            await self.reply("503 5.5.1 Say MAIL first")
            return
        path = parse_path(argument, "TO:", extended=self.client.extended)
        refuse_any(path.parameters)
        if transaction.count >= self._limits.max_recipients:
            # RFC 5321 §4.5.3.1.10: who is told so brings the message to those we took. Hanging up on a sender with many
            # more would have it begin anew with the same ones, and nobody would ever get it.
            transaction.excess += 1
            await self.reply(
                "452 4.5.3 Too many recipients in one message; send the rest in another",
                counts=transaction.excess > self._limits.max_excess_recipients,
            )
            return
        answer = await self._service.recipient(self.client, path.address)
        if answer.organisation_id is None:
            await self.reply(answer.refusal)
            return
        transaction.add(answer.address, answer.organisation_id)
        await self.reply("250 2.1.5 Recipient is known")

    async def _data(self, argument: str) -> None:
        transaction = self._transaction
        if transaction is None or not transaction.count:
            await self.reply("503 5.5.1 No valid recipients yet")
            return
        if argument:
            await self.reply("501 5.5.4 DATA takes no argument")
            return
        self._transaction = None
        data = DataReader(self._wire, self.kind.gate, self._entered)
        try:
            await self.reply("354 End data with <CR><LF>.<CR><LF>")
            content = await data.read()
            self._wire.allow(None)
            status = await self._service.accept(self.client, transaction, content)
        except DataRefused as refused:
            self._ending = refused.hang_up
            status = refused.reply
        finally:
            data.release()
        if status.startswith("2"):
            self._errors = self._idle_commands = 0
            self._must_end_at = asyncio.get_running_loop().time() + self._limits.session_seconds
        await self.reply(status)

    async def _rset(self, _argument: str) -> None:
        self._transaction = None
        await self.reply("250 2.0.0 OK")

    async def _noop(self, _argument: str) -> None:
        await self.reply("250 2.0.0 OK")

    async def _vrfy(self, _argument: str) -> None:
        # RFC 5321 §3.5.3: no is not to be said, and yes would tell strangers who is here.
        await self.reply("252 2.5.0 Send mail, and it will be tried")

    async def _help(self, _argument: str) -> None:
        await self.reply("214 2.0.0 This is SMTP as in RFC 5321; mail for people here is welcome")

    async def _quit(self, _argument: str) -> None:
        self._ending = True
        await self.reply("221 2.0.0 Bye")
