"""A lean HTTP/1.1 client, and a browser's session: enough for our own server, and cheap enough to measure it."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from mailplatform.bench.errors import BenchFailed

_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in lower case; of a repeated header the values are kept in order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """One connection to 127.0.0.1 that is kept; one request at a time. `headers` go with every request."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def request(
        self, method: str, path: str, body: bytes = b"", *, expect: int = 200, **headers: str
    ) -> Answer:
        """Raises BenchFailed unless the answer has the expected status. `headers` by Python names (content_type)."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        reader = self._reader
        if reader is None:
            raise AssertionError("both ends are opened together")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **named}.items()]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await _read_answer(reader)
        if answer.status != expect:
            start = answer.body[:300].decode("utf-8", "replace")
            raise BenchFailed(f"{method} {path} was answered {answer.status} and not {expect}: {start}")
        if answer.header("connection") == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
            await writer.wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = tuple(
        (name.strip().lower(), value.strip())
        for name, _, value in (line.partition(":") for line in head[1:-2])
    )
    answer = Answer(int(head[0].split(" ", 2)[1]), headers, b"")
    if answer.header("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(answer.header("content-length") or 0))
    return Answer(answer.status, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(chunks)


async def sign_in(port: int, email: str, password: str) -> dict[str, str]:
    """Sign in as a person does, and return the headers by which a browser is known afterwards."""
    connection = Connection(port, {"origin": f"http://127.0.0.1:{port}"})
    page = await connection.request("GET", "/sign-in/")
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)
    if token is None:
        raise BenchFailed("the sign-in page has no form token")
    cookies = _cookies(page)
    form = urlencode(
        {"csrfmiddlewaretoken": token[1].decode(), "email": email, "password": password, "next": ""}
    )
    signed_in = await connection.request(
        "POST",
        "/sign-in/",
        form.encode(),
        expect=302,
        cookie=_cookie_header(cookies),
        content_type="application/x-www-form-urlencoded",
    )
    await connection.close()
    return {**connection.headers, "cookie": _cookie_header({**cookies, **_cookies(signed_in)})}


def _cookies(answer: Answer) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in answer.headers:
        if name == "set-cookie":
            found |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
    return found


def _cookie_header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
