"""One SMTP conversation, as a client (RFC 5321), that can pause before the final dot.

No client we know can: their DATA runs through. Ours asks a `fence` between the last byte of the message and the
dot, and the fence commits "from here on nobody can tell" before the dot may leave. The order of a message, and what
a break at each step means:

    MAIL, RCPT, DATA               nothing was accepted: RelayRefused or RelayUnavailable
    the bytes                      the same
    fence                          it raises: the line is cut without a dot, and nothing was accepted. One that took
                                   long is asked again: the lease it saw may have lapsed since
    dot                            an answer decides; without one it is ReplyLost (RFC 1047)

Before the dot every byte of the message has left our buffers, and a line known to be dead is noticed, so that
`ReplyLost` is raised only when the dot may have arrived.

Where the server offers PIPELINING (RFC 2920 §3.1), MAIL, RCPT and DATA leave together, a forgotten refusal's RSET
before them, so that a message takes two round trips. DATA may stand last in such a group, and its answer must be read
whatever the others were: a server that refuses the only recipient is bound to refuse DATA too (503 or 554). One that
says 354 nevertheless now waits for a message to nobody. RFC 2920 would end that with a dot; we cut the line instead,
because no dot of ours leaves without a fence. A refusal is told at once, and the answers still owed are read before
the next message.

Limits: over TLS the last bytes may still stand in asyncio's buffers when the fence is passed, and a line that
breaks just then is called `ReplyLost` without need. One recipient to a message. The next message's commands wait for
the answer to the dot. A process that is stopped in the microseconds between the fence's answer and the dot sends it
when it goes on. No CHUNKING, no DSN.
"""

import asyncio
import base64
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

from apps.outbound.errors import RelayRefused, RelayUnavailable, ReplyLost
from apps.outbound.models import RelaySecurity
from apps.outbound.wire.connecting import account_of, connect, encrypt
from apps.outbound.wire.endpoint import Endpoint, tls_context
from apps.outbound.wire.envelope import Envelope, Timeouts, path_of
from apps.outbound.wire.line import Line
from apps.outbound.wire.payload import Payload
from apps.outbound.wire.smtp_reply import MalformedReply, Reply

__all__ = ["Conversation", "Envelope", "Timeouts"]

BLOCK_BYTES = 64 * 1024

BREAKS = (OSError, EOFError, MalformedReply)


class Conversation:
    """A connection to one relay, over which messages are sent one after the other."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._extensions: dict[str, str] = {}
        self._line: Line
        self._needs_reset = False
        self._owed: list[str] = []
        self.usable = False
        self.peer_address = ""
        self.greeting = ""
        self.messages_begun = 0
        self.tls = ""
        self.phases_ms: dict[str, int] = {}

    async def open(self) -> None:
        """Connect, greet, encrypt and sign in as the endpoint asks. Raises RelayUnavailable or RelayRefused."""
        try:
            with self._phase("connect"):
                async with asyncio.timeout(self._timeouts.connect):
                    await self._connect()
            with self._phase("greeting"):
                greeting = await self._line.hear(self._timeouts.greeting)
            self.greeting = greeting.text
            self._demand(greeting, "greeting")
            await self._say_hello()
            await self._encrypt()
            await self._sign_in()
        except BaseException:
            self.abort()
            raise
        self.usable = True

    @property
    def extensions(self) -> dict[str, str]:
        """What the server offers in its answer to EHLO: keyword and parameters, in capitals."""
        return dict(self._extensions)

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """TLS as it was agreed on, or None on a plain line."""
        line = getattr(self, "_line", None)
        return line.transport.get_extra_info("ssl_object") if line is not None else None

    async def rehearse(self, envelope: Envelope) -> list[Reply]:
        """Ask whether a message from and to these would be taken, and take it back with RSET: nothing is sent.

        The answers to MAIL and, when that was accepted, to RCPT, whatever they say. Raises RelayUnavailable.
        """
        replies = []
        for phase, command in (
            ("mail", b"MAIL FROM:<" + path_of(envelope.sender) + b">"),
            ("rcpt", b"RCPT TO:<" + path_of(envelope.recipient) + b">"),
        ):
            with self._phase(phase):
                replies.append(await self._ask(command))
            if not replies[-1].positive:
                break
        with self._phase("rset"):
            await self._ask(b"RSET")
        return replies

    async def send(self, envelope: Envelope, payload: Payload, fence: Callable[[], Awaitable[None]]) -> Reply:
        """Send one message; the server's answer to the final dot.

        Raises RelayRefused, RelayUnavailable, ReplyLost, or what `fence` raised. Afterwards `usable` tells whether
        another message may follow on this line.
        """
        if self.messages_begun:
            self.phases_ms = {}
        self.messages_begun += 1
        try:
            self._check_abilities(envelope, payload)
            await self._begin(envelope, payload)
            await self._transmit(payload.data)
            await self._pass(fence)
            return await self._finish()
        except RelayRefused as refusal:
            # The line serves the next message, unless the server is closing it (421, RFC 5321 §3.8).
            self._needs_reset = True
            if refusal.code == 421:
                self.abort()
            raise
        except BaseException:
            self.abort()
            raise

    async def close(self) -> None:
        """Say goodbye, briefly; a line that is gone already is no matter."""
        if self.usable:
            self.usable = False
            with contextlib.suppress(*BREAKS):
                await self._ask(b"QUIT", seconds=self._timeouts.farewell)
        self.abort()

    def abort(self) -> None:
        """Cut the line. RFC 5321 §4.1.1.4: without the end of data the server must not deliver."""
        self.usable = False
        if hasattr(self, "_line"):
            self._line.abort()

    # opening

    async def _connect(self) -> None:
        context = tls_context(self._endpoint) if self._endpoint.security == RelaySecurity.TLS else None
        self._line = await connect(self._endpoint, context)
        self.peer_address = str((self._line.transport.get_extra_info("peername") or ("",))[0])
        self._note_tls()

    def _note_tls(self) -> None:
        tls = self.ssl_object
        self.tls = f"{tls.version()} {(tls.cipher() or ('',))[0]}" if tls is not None else ""

    async def _say_hello(self) -> None:
        name = self._own_name()
        with self._phase("ehlo"):
            reply = await self._ask(b"EHLO " + name)
            if reply.code in {500, 502}:  # RFC 5321 §3.2: a server of the old kind
                reply = await self._ask(b"HELO " + name)
        self._demand(reply, "ehlo")
        words = [line.upper().partition(" ") for line in reply.lines[1:]]
        self._extensions = {keyword: parameters for keyword, _, parameters in words}

    def _own_name(self) -> bytes:
        if self._endpoint.hello_name:
            return self._endpoint.hello_name.encode("ascii")
        # RFC 5321 §4.1.3: a client without a name of its own says its address.
        host = str(self._line.transport.get_extra_info("sockname")[0])
        return f"[IPv6:{host}]".encode() if ":" in host else f"[{host}]".encode()

    async def _encrypt(self) -> None:
        security = self._endpoint.security
        if security in {RelaySecurity.NONE, RelaySecurity.TLS}:
            return
        if "STARTTLS" not in self._extensions:
            if security == RelaySecurity.STARTTLS:
                raise RelayUnavailable(
                    "starttls", f"{self._endpoint} does not offer STARTTLS, which is required"
                )
            return
        with self._phase("starttls"):
            self._demand(await self._ask(b"STARTTLS"), "starttls")
            async with asyncio.timeout(self._timeouts.command):
                self._line = await encrypt(self._line, self._endpoint, tls_context(self._endpoint))
            self._note_tls()
        # RFC 3207 §4.2: what was learnt before TLS is forgotten.
        await self._say_hello()

    async def _sign_in(self) -> None:
        if not self._endpoint.username:
            return
        user, password = self._endpoint.username.encode(), self._endpoint.password.encode()
        mechanisms = self._extensions.get("AUTH", "").split()
        with self._phase("auth"):
            if "PLAIN" in mechanisms:  # RFC 4616
                reply = await self._ask(b"AUTH PLAIN " + base64.b64encode(b"\0" + user + b"\0" + password))
            elif "LOGIN" in mechanisms:
                reply = await self._ask(b"AUTH LOGIN")
                for answer in (user, password):
                    if reply.code == 334:
                        reply = await self._ask(base64.b64encode(answer))
            else:
                raise RelayUnavailable("auth", f"{self._endpoint} offers neither AUTH PLAIN nor LOGIN")
        self._demand(reply, "auth")

    # one message

    def _check_abilities(self, envelope: Envelope, payload: Payload) -> None:
        """Refuse here what the server has said it cannot take."""
        if _needs_utf8(envelope, payload) and "SMTPUTF8" not in self._extensions:
            # RFC 6531 §3.2
            raise RelayRefused(
                "envelope", f"{self._endpoint} takes no addresses beyond ASCII", code=553, enhanced="5.6.7"
            )
        if not payload.is_ascii and "8BITMIME" not in self._extensions:
            # RFC 6152 §3
            raise RelayRefused(
                "envelope", f"{self._endpoint} takes no 8-bit content", code=554, enhanced="5.6.3"
            )
        limit = self._extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < payload.size_bytes:
            # RFC 1870 §5
            raise RelayRefused(
                "data",
                f"{self._endpoint} takes messages of up to {limit} bytes only",
                code=552,
                enhanced="5.3.4",
            )

    async def _begin(self, envelope: Envelope, payload: Payload) -> None:
        """Everything up to 354."""
        await self._hear_what_is_owed()
        group = [("rset", b"RSET")] if self._needs_reset else []
        group += [
            ("mail", self._mail_command(envelope, payload)),
            ("rcpt", b"RCPT TO:<" + path_of(envelope.recipient) + b">"),
            ("data", b"DATA"),
        ]
        together = "PIPELINING" in self._extensions
        if together:
            self._line.write(b"".join(command + b"\r\n" for _phase, command in group))
            self._owed = [phase for phase, _command in group]
        for phase, command in group:
            if not together:
                self._line.write(command + b"\r\n")
                self._owed = [phase]
            reply = await self._hear(phase)
            if not (reply.code == 354 if phase == "data" else reply.positive):
                self._refuse(reply, phase)
            if phase == "rset":
                self._needs_reset = False

    def _mail_command(self, envelope: Envelope, payload: Payload) -> bytes:
        mail = b"MAIL FROM:<" + path_of(envelope.sender) + b">"
        if "SIZE" in self._extensions:
            mail += b" SIZE=%d" % payload.size_bytes
        if "8BITMIME" in self._extensions:
            mail += b" BODY=8BITMIME"
        return mail + b" SMTPUTF8" if _needs_utf8(envelope, payload) else mail

    async def _hear(self, phase: str) -> Reply:
        """The answer to a command that was sent before."""
        started = time.monotonic()
        try:
            reply = await self._line.hear(self._timeouts.data if phase == "data" else self._timeouts.command)
        except BREAKS as error:
            raise self._broken(phase, error) from error
        finally:
            self.phases_ms[phase] = _milliseconds_since(started)
        self._owed.remove(phase)
        return reply

    async def _hear_what_is_owed(self) -> None:
        """Read what the server says to commands that were sent together with a refused one, and is of no account now.

        Not when they are refused: a refusal is news that should not wait for a server which may be slow.
        """
        for phase in list(self._owed):
            try:
                reply = await self._hear(phase)
            except RelayUnavailable as error:
                raise RelayUnavailable("rset", error.public) from error
            if phase == "data" and reply.code < 400:
                raise RelayUnavailable("rset", f"{self._endpoint} wanted a message for nobody")
            self.phases_ms = {}

    async def _transmit(self, data: bytes) -> None:
        started = time.monotonic()
        try:
            for start in range(0, len(data), BLOCK_BYTES):
                self._line.write(data[start : start + BLOCK_BYTES])
                await self._line.flush(self._timeouts.block)
        except BREAKS as error:
            raise self._broken("body", error) from error
        finally:
            self.phases_ms["body"] = _milliseconds_since(started)
        self._check_alive("body")

    def _check_alive(self, phase: str) -> None:
        if self._line.has_ended:
            raise RelayUnavailable(
                phase, f"{self._endpoint} closed the connection before the message was complete"
            )

    async def _pass(self, fence: Callable[[], Awaitable[None]]) -> None:
        """Raises what `fence` raises.

        A process that is stopped while the fence is asked may wake after its lease, and somebody else may have sent
        the message since. So what the fence said holds for a moment only.
        """
        started = asked = time.monotonic()
        await fence()
        while time.monotonic() - asked > self._timeouts.fence:
            asked = time.monotonic()
            await fence()
        self.phases_ms["fence"] = _milliseconds_since(started)
        self._check_alive("fence")

    async def _finish(self) -> Reply:
        started = time.monotonic()
        try:
            self._line.write(b".\r\n")
            reply = await self._line.hear(self._timeouts.dot)
        except BREAKS as error:
            raise ReplyLost(
                "dot", f"{self._endpoint} took the message but its answer never came: {account_of(error)}"
            ) from error
        finally:
            self.phases_ms["dot"] = _milliseconds_since(started)
        if reply.positive:
            return reply
        if reply.code < 400:
            raise ReplyLost("dot", f"{self._endpoint} answered the message with a senseless {reply.code}")
        raise RelayRefused("dot", str(reply), code=reply.code, enhanced=reply.enhanced)

    # speaking

    async def _ask(self, command: bytes, *, seconds: float | None = None) -> Reply:
        self._line.write(command + b"\r\n")
        return await self._line.hear(self._timeouts.command if seconds is None else seconds)

    def _demand(self, reply: Reply, phase: str) -> None:
        if not reply.positive:
            self._refuse(reply, phase)

    def _refuse(self, reply: Reply, phase: str) -> NoReturn:
        if reply.code >= 400:
            raise RelayRefused(phase, str(reply), code=reply.code, enhanced=reply.enhanced)
        raise RelayUnavailable(phase, f"{self._endpoint} gave an unexpected answer: {reply}")

    @contextlib.contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        """A timed phase before the dot: silence or a broken line in it means that nothing was accepted."""
        started = time.monotonic()
        try:
            yield
        except BREAKS as error:
            raise self._broken(phase, error) from error
        finally:
            self.phases_ms[phase] = _milliseconds_since(started)

    def _broken(self, phase: str, error: BaseException) -> RelayUnavailable:
        return RelayUnavailable(phase, f"{self._endpoint} is unavailable ({phase}): {account_of(error)}")


def _needs_utf8(envelope: Envelope, payload: Payload) -> bool:
    """RFC 6531 §3.4: for an address of the envelope, and for one in the headers that is nobody's here."""
    return not (envelope.is_ascii and payload.has_ascii_headers)


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
