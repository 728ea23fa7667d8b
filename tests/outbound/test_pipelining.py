"""What leaves together, and what becomes of answers that are owed when one of them is a refusal (RFC 2920)."""

import asyncio

import pytest

from apps.outbound.errors import RelayRefused, RelayUnavailable
from tests.outbound.talking import ENVELOPE, PAYLOAD, endpoint_of, nothing, remote_is_left_alone, talking_to
from tests.remote.script import Phase, refuse
from tests.remote.server import RemoteServer


async def test_everything_up_to_data_leaves_together_and_nothing_before_the_last_answer(
    remote: RemoteServer,
) -> None:
    stall = remote.stall(Phase.MAIL)
    async with talking_to(endpoint_of(remote)) as conversation:
        sending = asyncio.create_task(conversation.send(ENVELOPE, PAYLOAD, nothing))
        await asyncio.to_thread(stall.wait_reached)
        assert remote.commands[-1].startswith("MAIL")
        stall.release()
        await sending
        await conversation.send(ENVELOPE, PAYLOAD, nothing)
    verbs = [command.split()[0] for command in remote.commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_a_server_that_wants_data_although_it_refused_the_recipient_gets_no_dot(
    remote: RemoteServer,
) -> None:
    remote.behave(data_without_recipients=True)
    remote.play(Phase.RCPT, refuse(), times=1)
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayRefused) as refused:
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert refused.value.phase == "rcpt"
        with pytest.raises(RelayUnavailable) as cut:
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert cut.value.phase == "rset"
        assert not conversation.usable
    await remote_is_left_alone(remote)
    assert remote.messages == []
    assert len(remote.commands_of("MAIL")) == 1


async def test_a_refusal_does_not_wait_for_the_answers_still_owed(remote: RemoteServer) -> None:
    remote.behave(pipelining=True, data_without_recipients=True)
    remote.play(Phase.RCPT, refuse(), times=1)
    stall = remote.stall(Phase.DATA, recipient=None)
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayRefused):
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
        assert not stall.released.is_set()
        stall.release()


async def test_after_a_refusal_rset_and_the_next_message_leave_together(remote: RemoteServer) -> None:
    remote.play(Phase.RCPT, refuse(), times=1)
    async with talking_to(endpoint_of(remote)) as conversation:
        with pytest.raises(RelayRefused):
            await conversation.send(ENVELOPE, PAYLOAD, nothing)
        stall = remote.stall(Phase.RSET)
        sending = asyncio.create_task(conversation.send(ENVELOPE, PAYLOAD, nothing))
        await asyncio.to_thread(stall.wait_reached)
        stall.release()
        assert (await sending).code == 250
    assert [command.split()[0] for command in remote.commands[4:8]] == ["RSET", "MAIL", "RCPT", "DATA"]
