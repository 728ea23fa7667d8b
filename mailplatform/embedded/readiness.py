"""Ask a server of this machine over HTTP whether it is ready; directly, whatever proxy is set."""

import http.client
from http import HTTPStatus
from urllib.parse import urlsplit

from mailplatform.embedded.errors import StackFailed
from mailplatform.environment import Environment

_ANSWER_SECONDS = 2.0
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to, not to bind
_SHOWN_CHARACTERS = 300


def fetch_status(host: str, port: int, path: str) -> int | None:
    """The status that GET `path` answers, or None where nobody answers in time."""
    answer = _fetch(host, port, path, host_header=f"{host}:{port}")
    return answer[0] if answer else None


class WebReadiness:
    """What `/readyz` says of all processes and servers."""

    def __init__(self, environment: Environment) -> None:
        self._host = _EVERY_ADDRESS.get(environment.web_host, environment.web_host)
        self._port = environment.web_port
        self._host_header = urlsplit(environment.web_origin).netloc  # others may not be in ALLOWED_HOSTS
        self._last_answer = "the web process does not answer"

    def is_ready(self) -> bool:
        answer = _fetch(self._host, self._port, "/readyz", host_header=self._host_header)
        if answer:
            status, body = answer
            self._last_answer = f"/readyz answers {status}: {body}"
        return bool(answer and answer[0] == HTTPStatus.OK)

    def fail(self, seconds: float) -> StackFailed:
        return StackFailed(f"not ready after {seconds:.0f} s: {self._last_answer}")


def _fetch(host: str, port: int, path: str, *, host_header: str) -> tuple[int, str] | None:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host_header})
        answer = connection.getresponse()
        body = answer.read(_SHOWN_CHARACTERS).decode(errors="replace")
        return answer.status, " ".join(body.split())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
