"""The load generator sends what it says, and a figure never comes of a mail that was refused."""

import asyncio
import time

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.load import send_load
from mailplatform.bench.mails import Mails
from mailplatform.bench.programs import read_arrivals, start_over
from mailplatform.bench.remote import Remote, Taken
from mailplatform.bench.session import Session as LoadSession
from tests.bench.listening import listening


class Keeper:
    """Keeps what it is sent; refuses from the mail numbered `refuse_from` on."""

    def __init__(self, refuse_from: int | None = None) -> None:
        self.contents: list[bytes] = []
        self._refuse_from = refuse_from

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._refuse_from is not None and len(self.contents) >= self._refuse_from:
            return "451 4.3.0 Not now"
        self.contents.append(envelope.original_content or b"")
        return "250 2.0.0 Kept"


def _mails(size_bytes: int = 4096) -> Mails:
    return Mails(size_bytes, "customer@bench.invalid", "anybody@floor.invalid")


@pytest.mark.parametrize("size_bytes", [4096, 60 * 1024])
def test_a_mail_has_exactly_its_size_and_ends_a_line(size_bytes: int) -> None:
    mail = _mails(size_bytes).build(7)
    assert len(mail) == size_bytes
    assert mail.endswith(b"\r\n")
    assert b"\r\n." not in mail


def test_a_list_tells_which_mails_of_this_load_it_shows() -> None:
    ours, others = _mails(), _mails()
    page = f"<b>{ours.subject(3)}</b> {others.subject(4)} {ours.subject(12)}"
    assert ours.numbers_in(page) == {3, 12}


async def test_every_mail_of_a_load_arrives_once_and_whole() -> None:
    keeper, mails = Keeper(), _mails()
    async with listening(lambda: SMTP(keeper, loop=asyncio.get_running_loop())) as port:
        load = await send_load(port, mails, count=30, sessions=4)
    assert sorted(keeper.contents) == sorted(mails.build(number) for number in range(30))
    assert load.answered_at.keys() == set(range(30))
    assert load.rate > 0


async def test_a_refused_mail_ends_the_load() -> None:
    keeper = Keeper(refuse_from=5)
    async with listening(lambda: SMTP(keeper, loop=asyncio.get_running_loop())) as port:
        with pytest.raises(BenchFailed, match=r"451 4\.3\.0 Not now"):
            await send_load(port, _mails(), count=30, sessions=1)


async def test_a_server_that_hangs_up_ends_the_load() -> None:
    class HangsUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    async with listening(HangsUp) as port:
        with pytest.raises(BenchFailed, match="hung up"):
            await send_load(port, _mails(), count=1, sessions=1)


async def test_a_rate_is_kept_to() -> None:
    taken = Taken()
    async with listening(lambda: Remote(taken)) as port:
        load = await send_load(port, _mails(), count=20, sessions=4, rate=100)
    # The last of twenty is due after 190 ms, and none before its time.
    assert load.ended_at - load.started_at >= 0.19
    for number, answered_at in load.answered_at.items():
        assert answered_at >= load.started_at + number / 100


@pytest.mark.parametrize("size_bytes", [4096, 300 * 1024])
async def test_the_remote_server_counts_what_it_takes_and_starts_over(size_bytes: int) -> None:
    taken = Taken()
    async with listening(lambda: Remote(taken)) as port:
        before = time.monotonic()
        await send_load(port, _mails(size_bytes), count=12, sessions=3, pipelined=True)
        control = await LoadSession.open(port)
        arrivals = await read_arrivals(control)
        assert arrivals.count == 12
        assert before < arrivals.first_at < arrivals.last_at < time.monotonic()
        await start_over(port, delay_ms=0)
        assert (await read_arrivals(control)).count == 0
        await control.close()


async def test_the_remote_server_answers_each_batch_late_and_not_each_command() -> None:
    taken = Taken()
    async with listening(lambda: Remote(taken)) as port:
        await start_over(port, delay_ms=50)
        session = await LoadSession.open(port)
        begun_at = time.monotonic()
        await session.ask(b"MAIL FROM:<>\r\n", b"RCPT TO:<a@bench.invalid>\r\n")
        waited = time.monotonic() - begun_at
        await session.close()
    assert 0.05 <= waited < 0.1


async def test_the_remote_server_takes_an_empty_mail() -> None:
    taken = Taken()
    async with listening(lambda: Remote(taken)) as port:
        session = await LoadSession.open(port)
        await session.ask(b"DATA\r\n")
        await session.ask(b".\r\n")
        await session.close()
    assert taken.count == 1
