"""One SMTP conversation: the protocol, and none of the decisions, which `desk` makes.

aiosmtpd brings the grammar of MAIL and RCPT and the order of commands. Its loop, its DATA and its timer are replaced:

- the loop, because a failure of ours must be 451 and not 500, commands sent ahead must survive a connection closed on
  one side, and refused commands must be counted;
- DATA, because reading line by line is slow and unbounded (see `wire` and `data`);
- the timer, because aiosmtpd's runs on while we commit: it would close the connection on a sender whose message we
  have just taken, and the sender would repeat it.

Extensions: SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), PIPELINING (RFC 2920), ENHANCEDSTATUSCODES
(RFC 2034).

Limits: no STARTTLS yet. `RCPT TO:<postmaster>` without a domain (RFC 5321 §4.5.1) is refused: with several
organisations nobody can say whose postmaster is meant.
"""

# ruff: noqa: N802 - aiosmtpd finds commands by the names of their methods

import asyncio
import re
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from apps.inbound.data import DataReader
from apps.inbound.desk import Desk
from apps.inbound.errors import DataRefused, LineTooLong, PeerGone
from apps.inbound.limits import Gate, Limits, plain_address
from apps.inbound.receiving import Envelope
from apps.inbound.wire import BLOCK_BYTES, Wire
from apps.mime.clean import clean_line

log = structlog.get_logger(__name__)

OUR_FAILURE = "451 4.3.0 Temporary failure here, try again later"
GOODBYE = "421 4.3.2 Service is stopping, try again later"
REMEMBERED = 1000

_WITHOUT_ENHANCED_CODE = re.compile(r"([245]\d\d) (?![245]\.\d{1,3}\.\d{1,3} )(.*)", re.DOTALL)
# RFC 3463, for the replies that aiosmtpd words itself.
_ENHANCED = {
    "250": "2.0.0",
    "221": "2.0.0",
    "252": "2.5.0",
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "552": "5.3.4",
    "555": "5.5.4",
}
# A browser tricked into posting to our port speaks HTTP; nothing it says may be taken for SMTP.
_OTHER_PROTOCOLS = frozenset({"GET", "POST", "PUT", "CONNECT", "OPTIONS", "HEAD"})


class InboundEnvelope(SmtpEnvelope):
    """What the sender has said since MAIL, and whose recipients those are."""

    def __init__(self) -> None:
        super().__init__()
        self.by_organisation: dict[uuid.UUID, list[str]] = {}

    @property
    def sender(self) -> str:
        """RFC 5321 §4.5.5: bounces come from the null path."""
        return "" if self.mail_from in {None, "<>"} else str(self.mail_from)

    def add(self, recipient: str, organisation_id: uuid.UUID) -> None:
        self.rcpt_tos.append(recipient)
        known = self.by_organisation.setdefault(organisation_id, [])
        if recipient not in known:
            known.append(recipient)


class SmtpSession(SMTP):
    """One client's connection, from 220 to its end."""

    envelope: InboundEnvelope
    session: Session
    _handler_coroutine: asyncio.Task[None]
    line_length_limit = BLOCK_BYTES  # what asyncio buffers before it stops reading from the socket
    _timeout_handle: asyncio.TimerHandle

    def __init__(
        self,
        desk: Desk,
        gate: Gate,
        sessions: "set[SmtpSession]",
        *,
        hostname: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._limits: Limits = gate.limits
        super().__init__(
            handler=None,
            data_size_limit=gate.limits.max_size_bytes,
            enable_SMTPUTF8=True,
            hostname=hostname,
            timeout=gate.limits.command_seconds,
            loop=loop,
        )
        self._smtp_methods |= dict.fromkeys(("AUTH", "STARTTLS", "EXPN"), self._not_offered)
        self._desk = desk
        self._gate = gate
        self._sessions = sessions
        self._address = ""
        self._in_data = False
        self._ending = False
        self._errors = 0
        self._idle_commands = 0
        # Envelopes and contents this client has had a 250 for: it goes on talking, so it has read it, and the same
        # again is a second message rather than a repetition.
        self._acknowledged: set[uuid.UUID] = set()

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._address = plain_address(transport.get_extra_info("peername"))
        self._refusal = self._gate.enter(self._address)
        self._sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._gate.leave(self._address)
        self._sessions.discard(self)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        # Not aiosmtpd's, which drops what the client has sent ahead: it may have said all it has to say.
        return asyncio.StreamReaderProtocol.eof_received(self)

    def _create_envelope(self) -> InboundEnvelope:
        return InboundEnvelope()

    def _timeout_cb(self) -> None:
        """RFC 5321 §3.8: a server that gives up says 421 first."""
        self._writer.write(b"421 4.4.2 Waited too long for you\r\n")
        self._writer.close()

    @property
    def conversation(self) -> asyncio.Task[None]:
        """Ends when the connection does."""
        return self._handler_coroutine

    def _stop_timer(self) -> None:
        self._timeout_handle.cancel()

    def drain(self) -> None:
        """End soon: now when waiting for a command, else after the message that is arriving."""
        self._ending = True
        if not self._in_data and self.transport is not None:
            self._writer.write(GOODBYE.encode() + b"\r\n")
            self._writer.close()

    def abort(self) -> None:
        """End now, whatever is going on."""
        if self.transport is not None:
            self._writer.transport.abort()

    async def push(self, status: str | bytes) -> None:
        """Answer; RFC 2034 wants an enhanced code in each reply, and aiosmtpd's own texts have none."""
        text = status.decode() if isinstance(status, bytes) else status
        match = _WITHOUT_ENHANCED_CODE.fullmatch(text)
        if match and match[1] in _ENHANCED:
            text = f"{match[1]} {_ENHANCED[match[1]]} {match[2]}"
        if text[0] in "45":
            self._errors += 1
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()

    # -- the loop

    async def _handle_client(self) -> None:
        self._wire = Wire(self._reader)
        try:
            if self._refusal:
                await self.push(self._refusal)
                return
            self._writer.write(f"220 {self.hostname} ESMTP\r\n".encode())
            while not self._ending:
                self._reset_timeout(self._limits.command_seconds)
                await self._answer_next()
        except (PeerGone, ConnectionError):
            # Nobody is left to answer; what was accepted is committed, what was not is the sender's still.
            log.debug("smtp_peer_gone", peer=self._address)
        finally:
            self._stop_timer()
            self._writer.close()

    async def _answer_next(self) -> None:
        try:
            line = await self._wire.line(self._limits.max_command_bytes)
        except LineTooLong:
            await self.push("500 5.5.2 Command line too long")
        else:
            await self._answer(line)
        if self._ending:
            await self.push(GOODBYE)
        elif self._errors > self._limits.max_errors or self._idle_commands > self._limits.max_idle_commands:
            await self.push("421 4.7.0 Too many commands that lead nowhere")
            self._ending = True

    async def _answer(self, line: bytes) -> None:
        verb, _space, argument = line.partition(b" ")
        command = verb.decode("ascii", "replace").upper()
        if command in _OTHER_PROTOCOLS:
            await self.push("421 4.7.0 This is SMTP")
            self._ending = True
            return
        method = self._smtp_methods.get(command)
        if method is None:
            await self.push("500 5.5.2 Command not recognised")
            return
        if command not in {"MAIL", "RCPT", "DATA"}:
            self._idle_commands += 1
        try:
            await method(argument.strip().decode("utf-8", "surrogateescape") or None)
        except (PeerGone, ConnectionError):
            raise
        except Exception:
            # aiosmtpd would say 500, and a failure of our database would bounce people's mail.
            log.exception("smtp_command_failed", peer=self._address, command=command)
            await self.push(OUR_FAILURE)

    # -- commands

    async def smtp_EHLO(self, hostname: str | None) -> None:
        if not await self._greet(hostname, extended=True):
            return
        lines = (
            f"250-{self.hostname}",
            f"250-SIZE {self._limits.max_size_bytes}",
            "250-8BITMIME",
            "250-SMTPUTF8",
            "250-PIPELINING",
            "250 ENHANCEDSTATUSCODES",
        )
        self._writer.write("\r\n".join((*lines, "")).encode())
        await self._writer.drain()

    async def smtp_HELO(self, hostname: str | None) -> None:
        if await self._greet(hostname, extended=False):
            self._writer.write(f"250 {self.hostname}\r\n".encode())
            await self._writer.drain()

    async def _greet(self, hostname: str | None, *, extended: bool) -> bool:
        name = clean_line(hostname or "", 255)
        if not name:
            await self.push("501 5.5.4 Say who you are")
            return False
        self.envelope = self._create_envelope()
        self.session.extended_smtp = extended
        self.session.host_name = name
        return True

    async def smtp_HELP(self, _topic: str | None) -> None:
        await self.push("214 2.0.0 This is SMTP as in RFC 5321; mail for people here is welcome")

    async def _not_offered(self, _argument: str | None) -> None:
        await self.push("502 5.5.1 Command not offered here")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The path of MAIL or RCPT and what follows it; aiosmtpd's own raises on hostile paths.

        "<>" stands for the null path. (None, None) when there is no path.
        """
        path, rest = _split_path(arg)
        if path is None or not rest.isascii() or not path.isprintable():
            return None, None
        # RFC 5321 §4.1.1.3: a source route before the address is to be ignored.
        address = path.rpartition(":")[2] if path.startswith("@") else path
        return address or "<>", rest

    async def _call_handler_hook(self, command: str, *args: object) -> Any:
        """aiosmtpd asks here what to answer; only RCPT needs a decision."""
        if command == "RCPT":
            return await self._answer_rcpt(str(args[0]))
        return await super()._call_handler_hook(command, *args)

    async def _answer_rcpt(self, address: str) -> str:
        if len(self.envelope.rcpt_tos) >= self._limits.max_recipients:
            return "452 4.5.3 Too many recipients in one message; send the rest in another"
        answer = await self._desk.recipient(address)
        if answer.organisation_id is None:
            return answer.refusal
        self.envelope.add(answer.address, answer.organisation_id)
        return "250 2.1.5 Recipient is known"

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 No valid recipients yet")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        self._in_data = True
        data = DataReader(self._wire, self._limits, self._gate, self._data_timer())
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            status = await self._take(data)
        finally:
            data.release()
            self.envelope = self._create_envelope()
            self._in_data = False
        await self.push(status)

    def _data_timer(self) -> Callable[[], None]:
        """To be called before each wait for data: a block has its time, and all blocks together have theirs."""
        deadline = self.loop.time() + self._limits.data_total_seconds

        def set_timer() -> None:
            left = max(0.001, deadline - self.loop.time())
            self._reset_timeout(min(self._limits.data_block_seconds, left))

        return set_timer

    async def _take(self, data: DataReader) -> str:
        try:
            content = await data.read()
        except DataRefused as refused:
            self._ending = refused.hang_up
            return refused.reply
        self._stop_timer()
        accepted = await self._desk.accept(
            Envelope(
                sender=self.envelope.sender,
                recipients={owner: tuple(known) for owner, known in self.envelope.by_organisation.items()},
                peer=self._address,
                helo=self.session.host_name or "",
            ),
            content,
            acknowledged=frozenset(self._acknowledged),
        )
        if len(self._acknowledged) > REMEMBERED:
            self._acknowledged.clear()
        self._acknowledged.update(accepted.digests)
        self._errors = self._idle_commands = 0
        return f"250 2.0.0 Accepted as {accepted.queue_id}"


def _split_path(argument: str) -> tuple[str | None, str]:
    """(what stands in the angle brackets, what follows them); without brackets, the first word."""
    argument = argument.strip()
    if not argument.startswith("<"):
        path, _space, rest = argument.partition(" ")
        return path or None, rest
    quoted = escaped = False
    for position, character in enumerate(argument):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif character == ">" and not quoted:
            return argument[1:position].strip(), argument[position + 1 :].strip()
    return None, ""
