"""What one unusual mail does to everybody else: one of 25 MB, and one with a thousand files.

While the large one arrives and is filed, small ones keep coming; the table has how long they waited for their 250, with
it and without it, and how far the memory of each process rose above what it held before. Of both mails the conversation
is opened as a browser does, without what its frames fetch.

Limits: a peak is looked for every 50 ms, so a shorter one is not seen.
"""

import asyncio
import base64
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.figures import LATENCIES_HEADER, Latencies, Table
from mailplatform.bench.load import Load, send_load
from mailplatform.bench.mails import Mails
from mailplatform.bench.memory import read_memory
from mailplatform.bench.session import Session
from mailplatform.bench.stack import Product
from mailplatform.bench.web import Connection, sign_in

LARGE_BYTES = 25 * 1024 * 1024
FILES = 1000
OPENED = 10
_SENDER = "customer@bench.invalid"
_BESIDE, _RATE = 100, 20.0
_LOOK_SECONDS = 0.05
_MEBIBYTE = 1024
_THREAD = re.compile(r'"thread":\s*"([0-9a-f-]{36})"')


async def measure_large(product: Product) -> Table:
    """Raises BenchFailed when a mail is refused, not filed, or cannot be opened."""
    table = Table("Large mail beside small mail", LATENCIES_HEADER)
    recipient = product.mailbox("shared")["address"]
    small = Mails(4096, _SENDER, recipient)
    table.add_latencies("small mails alone, to their 250", _waits(await _send_small(product, small)))
    await product.wait_quiet()

    before = await product.count_filed()
    small = Mails(4096, _SENDER, recipient)
    with _peaks(product) as rose:
        began_at = time.monotonic()
        beside = asyncio.create_task(_send_small(product, small))
        await _send_one(product, _large())
        taken_at = time.monotonic()
        load = await beside
        await product.wait_filed(before + _BESIDE + 1)
    table.add_latencies("small mails beside one of 25 MB", _waits(load))
    table.notes.append(f"25 MB: {taken_at - began_at:.1f} s from its first byte to its 250.")
    shown = ", ".join(f"{title} {kibibytes / _MEBIBYTE:.0f}" for title, kibibytes in rose.items())
    table.notes.append(f"MiB by which memory (PSS) rose meanwhile: {shown}.")
    table.figures.append({"row": "memory beside 25 MB", "unit": "KiB", "values": dict(rose)})

    for title, mail in (("25 MB", _large()), (f"{FILES:,} files", _many())):
        table.add_latencies(f"a mail of {title}, its page", await _open(product, mail))
    return table


async def _send_small(product: Product, mails: Mails) -> Load:
    return await send_load(product.smtp_port, mails, count=_BESIDE, sessions=4, rate=_RATE)


def _waits(load: Load) -> Latencies:
    return Latencies(tuple(load.seconds_each))


async def _send_one(product: Product, mail: bytes) -> None:
    session = await Session.open(product.smtp_port)
    recipient = product.mailbox("shared")["address"].encode()
    await session.send(_SENDER.encode(), recipient, mail, pipelined=True)
    await session.close()


@contextmanager
def _peaks(product: Product) -> Iterator[dict[str, int]]:
    """By what each kind of process rose above what it held, in KiB: filled while the block runs."""
    idle = {title: held.pss for title, held in read_memory(product).items()}
    rose = dict.fromkeys(idle, 0)

    async def look() -> None:
        while True:
            for title, held in (await asyncio.to_thread(read_memory, product)).items():
                rose[title] = max(rose.get(title, 0), held.pss - idle.get(title, 0))
            await asyncio.sleep(_LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield rose
    finally:
        looking.cancel()


async def _open(product: Product, mail: bytes) -> Latencies:
    """File it, and open its conversation several times."""
    await product.wait_quiet()
    before = await product.count_filed()
    await _send_one(product, mail)
    await product.wait_filed(before + 1)
    mailbox = product.mailbox("shared")["id"]
    agent = next(user for user in product.demo["users"] if user["role"] == "agent")
    browser = Connection(product.web_port, await sign_in(product.web_port, agent["email"], agent["password"]))
    api = Connection(product.web_port, {"authorization": f"Bearer {product.api_key}"})
    try:
        newest = await api.request("GET", f"/api/v1/mailboxes/{mailbox}/messages?folder=inbox&limit=1")
        found = _THREAD.search(newest.body.decode())
        if found is None:
            raise BenchFailed("the mail that was filed is not on the list")
        seconds = []
        for _ in range(OPENED):
            began_at = time.monotonic()
            await browser.request("GET", f"/m/{mailbox}/inbox/{found[1]}/")
            seconds.append(time.monotonic() - began_at)
    finally:
        await browser.close()
        await api.close()
    return Latencies(tuple(seconds))


def _large() -> bytes:
    encoded = base64.encodebytes(secrets.token_bytes(LARGE_BYTES * 57 // 78)).replace(b"\n", b"\r\n")
    return _mail([(b"recording.bin", b"base64", encoded)])


def _many() -> bytes:
    files = ((b"file-%d.txt" % number, b"7bit", b"This is file %d.\r\n" % number) for number in range(FILES))
    return _mail(files)


def _mail(files: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    token = secrets.token_hex(8).encode()
    head = (
        b"From: A customer <%b>\r\nTo: support\r\nSubject: Files %b\r\nMessage-ID: <%b@bench.invalid>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%b\r\n\r\n"
    ) % (_SENDER.encode(), token, token, token)
    parts = [b"--%b\r\nContent-Type: text/plain\r\n\r\nHere they are.\r\n" % token]
    for name, encoding, content in files:
        parts.append(
            b"--%b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: %b\r\n"
            b"Content-Disposition: attachment; filename=%b\r\n\r\n%b" % (token, encoding, name, content)
        )
    return head + b"".join(parts) + b"--%b--\r\n" % token
