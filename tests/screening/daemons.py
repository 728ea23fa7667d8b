"""clamd and rspamd as scripts: small servers that say, stall or hang up as told, on real sockets."""

import contextlib
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO

STALL = "stall"


class FakeClamd:
    """Speaks clamd's protocol. `answer` is what INSTREAM gets (STALL: nothing, for ever); `mails` are what came."""

    def __init__(self, *, accepts_bytes: int = 1 << 30) -> None:
        self.answer = "stream: OK"
        self.version = "ClamAV 1.4.3/27500"
        self.mails: list[bytes] = []
        self.calls: list[str] = []
        self._accepts_bytes = accepts_bytes
        self._released = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._released.set()
        # Wakes the thread that waits for a caller; closing alone would leave it there.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as read, contextlib.suppress(OSError):
            command = b""
            while not command.endswith(b"\0"):
                command += read.read(1)
            name = command.strip(b"z\0").decode()
            self.calls.append(name)
            if self.answer == STALL:
                self._released.wait()
                return
            line.sendall(self._answer(name, read).encode() + b"\0")

    def _answer(self, name: str, read: BinaryIO) -> str:
        if name == "PING":
            return "PONG"
        if name == "VERSION":
            return self.version
        mail = b""
        while size := struct.unpack("!I", read.read(4))[0]:
            mail += read.read(size)
            if len(mail) > self._accepts_bytes:
                return "INSTREAM size limit exceeded. ERROR"
        self.mails.append(mail)
        return self.answer


class FakeRspamd:
    """Answers /checkv2 with `status` and `body` after `seconds`, /ping with pong. `requests` are the headers and bodies
    that came."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.status = 200
        self.body = '{"action": "no action", "score": 0.1, "symbols": {}}'
        self.requests: list[tuple[list[tuple[str, str]], bytes]] = []
        self.thinking = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = "rspamd/3.9"
            sys_version = ""

            def do_GET(self) -> None:
                self._reply(200, "pong\r\n")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.requests.append((self.headers.items(), body))
                fake.thinking.wait(fake.seconds)
                self._reply(fake.status, fake.body)

            def _reply(self, status: int, body: str) -> None:
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
