"""Ask a server of this machine over HTTP whether it is ready; directly, whatever proxy is set."""

import http.client
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from mailplatform.embedded.errors import StackFailed
from mailplatform.environment import Environment

_ANSWER_SECONDS = 2.0
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to, not to bind
_READ_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `body` is its first 64 KB as text."""

    status: int
    body: str

    @property
    def is_ok(self) -> bool:
        return self.status == HTTPStatus.OK


def fetch(host: str, port: int, path: str, *, host_header: str = "") -> Answer | None:
    """GET `path`; None where nobody answers in time."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host_header or f"{host}:{port}"})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(_READ_BYTES).decode(errors="replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class WebReadiness:
    """What `/readyz` says of all processes and servers."""

    def __init__(self, environment: Environment) -> None:
        self._host = _EVERY_ADDRESS.get(environment.web_host, environment.web_host)
        self._port = environment.web_port
        self._host_header = urlsplit(environment.web_origin).netloc  # others may not be in ALLOWED_HOSTS
        self._last_answer = "the web process does not answer"

    def is_ready(self) -> bool:
        answer = fetch(self._host, self._port, "/readyz", host_header=self._host_header)
        if answer:
            body = " ".join(answer.body.split())[:_SHOWN_CHARACTERS]
            self._last_answer = f"/readyz answers {answer.status}: {body}"
        return answer is not None and answer.is_ok

    def fail(self, seconds: float) -> StackFailed:
        return StackFailed(f"not ready after {seconds:.0f} s: {self._last_answer}")
