"""One SMTP conversation against a server that can be told to be rude."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from apps.organisations.models import new_id
from apps.outbound.errors import LeaseLost, RelayRefused, RelayUnavailable, ReplyLost
from apps.outbound.wire.conversation import Conversation, Envelope
from apps.outbound.wire.endpoint import parse_relay_url
from apps.outbound.wire.payload import Payload
from tests.outbound.sending import IMPATIENT
from tests.outbound.talking import (
    CONTENT,
    ENVELOPE,
    PAYLOAD,
    endpoint_of,
    nothing,
    remote_is_left_alone,
    talking_to,
)
from tests.remote.script import Answer, Garbage, Phase, accept, defer, hang_up, refuse
from tests.remote.server import RemoteServer


async def test_an_accepted_message_arrives_byte_for_byte(remote: RemoteServer) -> None:
    async with talking_to(endpoint_of(remote)) as conversation:
        reply = await conversation.send(ENVELOPE, PAYLOAD, nothing)
    assert (reply.code, reply.enhanced) == (250, "2.0.0")
    taken = remote.messages[0]
    assert (taken.sender, taken.recipients, taken.content) == (
        ENVELOPE.sender,
        (ENVELOPE.recipient,),
        CONTENT,
    )


@pytest.mark.parametrize(
    ("content", "arrives"),
    [
        (b".\r\n..\r\n.x\r\nend\r\n", b".\r\n..\r\n.x\r\nend\r\n"),
        (b"no line end", b"no line end\r\n"),
        (b"bare\nfeed\rreturn\r\n", b"bare\r\nfeed\r\nreturn\r\n"),
        # Ends of data to servers that are careless about line ends (SMTP smuggling, CVE-2023-51764).
        (b"a\n.\nMAIL FROM:<evil@x>\r\n", b"a\r\n.\r\nMAIL FROM:<evil@x>\r\n"),
        (b"a\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
        (b"a\r.\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
        (b"", b"\r\n"),
        (b"x" * 300_000 + b"\r\n", b"x" * 300_000 + b"\r\n"),
    ],
)
async def test_nothing_in_the_content_ends_it_early(
    remote: RemoteServer, content: bytes, arrives: bytes
) -> None:
    async with talking_to(endpoint_of(remote)) as conversation:
        await conversation.send(ENVELOPE, Payload.of(content), nothing)
    assert [message.content for message in remote.messages] == [arrives]
    assert not [command for command in remote.commands if "evil" in command]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_one_line_carries_many_messages(remote: RemoteServer, *, pipelining: bool) -> None:
    remote.behave(pipelining=pipelining)
    async with talking_to(endpoint_of(remote)) as conversation:
        for n in range(3):
            await conversation.send(replace(ENVELOPE, recipient=f"c{n}@x.example"), PAYLOAD, nothing)
    assert remote.taken_by_recipient == {"c0@x.example": 1, "c1@x.example": 1, "c2@x.example": 1}
    assert remote.connections == 1
    assert remote.commands[-1] == "QUIT"


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT])
@pytest.mark.parametrize("answer", [defer(), refuse()])
async def test_a_refusal_is_told_with_its_phase_and_the_line_serves_on(
    remote: RemoteServer, *, pipelining: bool, phase: Phase, answer: Answer
) -> None:
    remote.behave(pipelining=pipelining)
    remote.play(phase, answer, times=1)
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayRefused) as refused:
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert (refused.value.phase, refused.value.code) == (phase, answer.code)
        assert refused.value.permanent is (answer.code >= 500)
        assert refused.value.enhanced == answer.text.split()[0]
        assert remote.messages == []
        await conversation.send(ENVELOPE, PAYLOAD, nothing)
    assert len(remote.messages) == 1
    assert remote.connections == 1


async def test_after_a_421_the_line_is_not_used_again(remote: RemoteServer) -> None:
    remote.play(Phase.RCPT, Answer(421, "4.3.2 closing down"))
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayRefused):
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert not conversation.usable


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA])
@pytest.mark.parametrize("silent", [True, False])
async def test_a_line_that_breaks_before_the_dot_is_no_acceptance(
    remote: RemoteServer, phase: Phase, *, silent: bool
) -> None:
    if silent:
        remote.stall(phase)
    else:
        remote.play(phase, hang_up())
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayUnavailable) as broken:
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
    assert broken.value.phase in {"mail", "rcpt", "data"}
    assert remote.messages == []


async def test_a_server_that_leaves_during_the_fence_is_noticed_before_the_dot(remote: RemoteServer) -> None:
    remote.play(Phase.BODY, hang_up())

    async def slow_fence() -> None:
        await remote_is_left_alone(remote)

    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayUnavailable):
            await conversation.send(ENVELOPE, PAYLOAD, slow_fence)
    assert remote.messages == []


@pytest.mark.parametrize("took_it", [True, False])
async def test_a_lost_answer_to_the_dot_is_uncertain(remote: RemoteServer, *, took_it: bool) -> None:
    remote.play(Phase.DOT, hang_up(after_taking=took_it))
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(ReplyLost):
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
    assert len(remote.messages) == int(took_it)


async def test_silence_or_nonsense_after_the_dot_is_uncertain(remote: RemoteServer) -> None:
    remote.stall(Phase.DOT, times=None)
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(ReplyLost):
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
    remote.forget_script()
    remote.play(Phase.DOT, Answer(354, "what?"))
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(ReplyLost):
            await conversation.send(ENVELOPE, PAYLOAD, nothing)


async def test_a_fence_that_raises_cuts_the_line_without_a_dot(remote: RemoteServer) -> None:
    async def closed() -> None:
        raise LeaseLost(new_id())

    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(LeaseLost):
            await conversation.send(ENVELOPE, PAYLOAD, closed)
        assert not conversation.usable
    await remote_is_left_alone(remote)
    assert remote.messages == []


async def test_a_fence_that_took_so_long_that_the_lease_may_be_over_is_asked_again(
    remote: RemoteServer,
) -> None:
    answers = iter([None, LeaseLost(new_id())])

    async def open_then_closed() -> None:
        if error := next(answers):
            raise error

    conversation = Conversation(endpoint_of(remote), replace(IMPATIENT, fence=0))
    await conversation.open()
    with pytest.raises(LeaseLost):
        await conversation.send(ENVELOPE, PAYLOAD, open_then_closed)
    await remote_is_left_alone(remote)
    assert remote.messages == []


async def test_the_fence_comes_after_the_whole_message_and_before_the_dot(remote: RemoteServer) -> None:
    stall = remote.stall(Phase.DOT)
    passed = asyncio.Event()

    async def fence() -> None:
        assert not stall.reached.is_set()
        passed.set()

    async with talking_to(endpoint_of(remote)) as conversation:
        sending = asyncio.create_task(conversation.send(ENVELOPE, Payload.of(b"y" * 1_000_000), fence))
        await asyncio.wait_for(passed.wait(), 5)
        await asyncio.to_thread(stall.wait_reached)
        stall.release()
        assert (await sending).code == 250
    assert len(remote.messages[0].content) == 1_000_002


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.EHLO])
@pytest.mark.parametrize("step", [hang_up(), Garbage(b"\xff" * 10_000), Garbage(b"hello there\r\n")])
async def test_an_unfriendly_greeting_is_an_unavailable_relay(
    remote: RemoteServer, phase: Phase, step: Any
) -> None:
    remote.play(phase, step)
    with pytest.raises(RelayUnavailable):
        await Conversation(endpoint_of(remote), IMPATIENT).open()


async def test_nobody_listening_is_an_unavailable_relay(remote: RemoteServer) -> None:
    remote.close()
    with pytest.raises(RelayUnavailable, match="connection refused"):
        await Conversation(endpoint_of(remote), IMPATIENT).open()


async def test_an_answer_without_end_is_cut_off(remote: RemoteServer) -> None:
    remote.play(Phase.EHLO, accept("\n".join(f"X-LINE-{n}" for n in range(500))))
    with pytest.raises(RelayUnavailable):
        await Conversation(endpoint_of(remote), IMPATIENT).open()


async def test_the_server_is_not_asked_for_what_it_said_it_cannot(remote: RemoteServer) -> None:
    remote.behave(size=1000, smtputf8=False, eight_bit_mime=False)
    async with talking_to(endpoint_of(remote)) as conversation:
        for envelope, content, enhanced in (
            (ENVELOPE, b"x" * 2000, "5.3.4"),
            (replace(ENVELOPE, recipient="jürgen@x.example"), CONTENT, "5.6.7"),
            (ENVELOPE, "ü".encode(), "5.6.3"),
        ):
            with pytest.raises(RelayRefused) as refused:
                await conversation.send(envelope, Payload.of(content), nothing)
            assert refused.value.enhanced == enhanced
            assert refused.value.permanent
    assert remote.commands_of("MAIL") == []


async def test_an_address_cannot_carry_a_command(remote: RemoteServer) -> None:
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(ValueError, match="reached SMTP"):
            await conversation.send(Envelope("a@b", "c@d>\r\nRCPT TO:<evil@x"), PAYLOAD, nothing)
    assert not [command for command in remote.commands if "evil" in command]


# TLS and signing in


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def trusting(authority: trustme.CA, folder: Path) -> str:
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("LOGIN",)])
async def test_a_password_goes_over_checked_tls_only(
    remote: RemoteServer, authority: trustme.CA, tmp_path: Path, mechanisms: tuple[str, ...]
) -> None:
    remote.behave(
        tls=server_context(authority, "127.0.0.1"), users={"us": "secret word"}, mechanisms=mechanisms
    )
    ca = trusting(authority, tmp_path)
    endpoint = parse_relay_url(f"smtp://us:secret%20word@127.0.0.1:{remote.port}?ca={ca}")
    async with talking_to(endpoint) as conversation:
        await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert conversation.tls.startswith("TLSv1.3")
    assert [command.split()[0] for command in remote.commands[:4]] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
    assert len(remote.messages) == 1


async def test_an_untrusted_certificate_gets_no_password(remote: RemoteServer, authority: trustme.CA) -> None:
    remote.behave(tls=server_context(authority, "127.0.0.1"), users={"us": "secret"})
    endpoint = parse_relay_url(f"smtp://us:secret@127.0.0.1:{remote.port}")
    with pytest.raises(RelayUnavailable, match="not trusted"):
        await Conversation(endpoint, IMPATIENT).open()
    assert remote.commands_of("AUTH") == []


async def test_a_certificate_for_another_name_gets_no_password(
    remote: RemoteServer, authority: trustme.CA, tmp_path: Path
) -> None:
    remote.behave(tls=server_context(authority, "elsewhere.test"), users={"us": "secret"})
    ca = trusting(authority, tmp_path)
    endpoint = parse_relay_url(f"smtp://us:secret@127.0.0.1:{remote.port}?ca={ca}")
    with pytest.raises(RelayUnavailable, match="not trusted"):
        await Conversation(endpoint, IMPATIENT).open()
    assert remote.commands_of("AUTH") == []


async def test_a_server_that_hides_starttls_gets_no_password(remote: RemoteServer) -> None:
    remote.behave(users={"us": "secret"})
    endpoint = parse_relay_url(f"smtp://us:secret@127.0.0.1:{remote.port}")
    with pytest.raises(RelayUnavailable, match="does not offer STARTTLS"):
        await Conversation(endpoint, IMPATIENT).open()
    assert remote.commands_of("AUTH") == []


async def test_a_wrong_password_is_the_relays_trouble(remote: RemoteServer) -> None:
    remote.behave(users={"us": "secret"})
    endpoint = parse_relay_url(f"smtp://us:wrong@127.0.0.1:{remote.port}?tls=none")
    with pytest.raises(RelayRefused) as refused:
        await Conversation(endpoint, IMPATIENT).open()
    assert (refused.value.phase, refused.value.code) == ("auth", 535)
    assert "wrong@" not in str(refused.value)


async def test_tls_from_the_first_byte(authority: trustme.CA, tmp_path: Path) -> None:
    with RemoteServer(tls=server_context(authority, "127.0.0.1"), implicit_tls=True) as remote:
        ca = trusting(authority, tmp_path)
        async with talking_to(parse_relay_url(f"smtps://127.0.0.1:{remote.port}?ca={ca}")) as conversation:
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
            assert conversation.tls
        assert len(remote.messages) == 1


async def test_starttls_is_taken_when_offered_and_not_asked_for_otherwise(
    remote: RemoteServer, authority: trustme.CA
) -> None:
    endpoint = parse_relay_url(remote.url)
    async with talking_to(endpoint) as conversation:
        await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert conversation.tls == ""
    remote.behave(tls=server_context(authority, "anything.test"))
    async with talking_to(endpoint) as conversation:
        await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert conversation.tls


async def test_answers_injected_before_the_handshake_are_forgotten(
    remote: RemoteServer, authority: trustme.CA
) -> None:
    """As in CVE-2021-38371: plain text after the 220 must not be taken for the encrypted server's answers."""
    remote.behave(tls=server_context(authority, "127.0.0.1"))
    remote.play(Phase.STARTTLS, Garbage(b"220 go ahead\r\n250-injected\r\n250 AUTH PLAIN\r\n"))
    try:
        async with talking_to(parse_relay_url(remote.url)) as conversation:
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
    except RelayUnavailable:
        return  # the injected bytes came too late to be dropped and spoilt the handshake, which is as safe
    assert len(remote.commands_of("EHLO")) == 2
    assert len(remote.messages) == 1
