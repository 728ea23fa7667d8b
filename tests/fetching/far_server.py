"""A stranger's web server on loopback, which answers by path as a test has told it, and keeps what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FarServer:
    """`answers` by path: (status, headers, body), or a function that writes to the socket itself."""

    port: int = 0
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, body: bytes, content_type: str = "image/png", status: int = 200) -> str:
        self.answers[path] = (status, {"Content-Type": content_type}, body)
        return self.url(path)

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        self.answers[path] = (status, {"Location": location}, b"")
        return self.url(path)

    def drip(self, path: str, head: bytes = b"") -> str:
        """A byte now and then, for ever: until the other side hangs up."""

        def answer(write: Callable[[bytes], object]) -> None:
            write(head)
            while not self.over.wait(0.05):
                write(b"x")

        self.answers[path] = answer
        return self.url(path)

    def hold(self, path: str, body: bytes) -> threading.Event:
        """Answered once the event is set."""
        may_go = threading.Event()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()

        def answer(write: Callable[[bytes], object]) -> None:
            while not may_go.wait(0.05) and not self.over.is_set():
                pass
            write(head + body)

        self.answers[path] = answer
        return may_go


@contextmanager
def far_server() -> Iterator[FarServer]:
    far = FarServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            far.asked.append(Asked(self.command, self.path, headers, body))
            answer = far.answers.get(self.path, (404, {}, b""))
            try:
                if callable(answer):
                    answer(self.wfile.write)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the other side has hung up, as it should

        do_POST = do_GET  # noqa: N815  the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    far.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield far
    finally:
        far.over.set()
        server.shutdown()
        server.server_close()
