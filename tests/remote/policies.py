"""An HTTPS server on loopback that serves MTA-STS policies, well or badly, and remembers who was asked for."""

import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WELL_KNOWN = "/.well-known/mta-sts.txt"


@dataclass(frozen=True)
class Page:
    """One answer. `status` 3xx leads to `location`."""

    body: bytes = b""
    status: int = 200
    media_type: str | None = "text/plain"
    encoding: str | None = None
    location: str | None = None


class PolicyServer:
    """Use it as a context manager. `asked` holds the TLS name, the Host and the path of each request."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.page = Page(status=404)
        self.asked: list[tuple[str, str, str]] = []
        self.handshakes = 0
        self._named: dict[int, str] = {}
        context.sni_callback = self._note_name
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]

    def __enter__(self) -> "PolicyServer":
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _note_name(self, tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.handshakes += 1
        self._named[id(tls)] = name or ""

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler's own `self` is within
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                page = server.page
                named = server._named.get(id(self.connection), "")
                server.asked.append((named, self.headers["Host"], self.path))
                self.send_response(page.status)
                for header, value in (
                    ("Content-Type", page.media_type),
                    ("Content-Encoding", page.encoding),
                    ("Location", page.location),
                    ("Content-Length", str(len(page.body))),
                ):
                    if value is not None:
                        self.send_header(header, value)
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, *_of_a_request: object) -> None:
                """Tests are quiet."""

        return Handler
