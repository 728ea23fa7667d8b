"""The three embedded servers together: which of them are wanted, on which ports, up and down."""

import time
from pathlib import Path

from mailplatform.embedded.access import EmbeddedAccess, PostgresAccess, S3Access, ValkeyAccess
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.folder import prepare_folder
from mailplatform.embedded.log import Log
from mailplatform.embedded.orphans import end_processes, find_marked, find_working_in
from mailplatform.embedded.place import find_data
from mailplatform.embedded.ports import GRPC_OFFSET, choose_port, is_free
from mailplatform.embedded.postgres import PostgresServer
from mailplatform.embedded.seaweed import SeaweedServer
from mailplatform.embedded.server import EmbeddedServer, Pause
from mailplatform.embedded.valkey import ValkeyServer
from mailplatform.environment import Environment


class Stack:
    """The embedded servers of one data folder; the caller holds its FolderLock.

    A server for which an outside address is set is None and is not started.
    """

    def __init__(self, environment: Environment, log: Log, *, durable: bool = True) -> None:
        """`environment` as `read_environment` gives it: an empty URL asks for the embedded server."""
        data_dir = environment.data_dir
        self.access = _agree_access(data_dir)
        self.postgres: PostgresServer | None = None
        self.valkey: ValkeyServer | None = None
        self.s3: SeaweedServer | None = None
        if not environment.database_url:
            self.postgres = PostgresServer(data_dir, self.access.postgres, log, durable=durable)
        if not environment.redis_url:
            self.valkey = ValkeyServer(data_dir, self.access.valkey, log)
        if not environment.s3_endpoint_url:
            self.s3 = SeaweedServer(data_dir, self.access.s3, log, bucket=environment.s3_bucket)

    @property
    def servers(self) -> list[EmbeddedServer]:
        return [server for server in (self.postgres, self.valkey, self.s3) if server]

    def start(self) -> None:
        """Start every server without waiting for its answer; they come up side by side."""
        for server in self.servers:
            server.start()

    def wait_ready(self, pause: Pause = time.sleep) -> None:
        for server in self.servers:
            server.wait_ready(pause)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def end_leftovers(data_dir: Path) -> int:
    """End what an earlier run of this folder left alive, and return how many processes it was."""
    return end_processes(lambda: find_marked(data_dir)) + end_processes(
        lambda: find_working_in(find_data(data_dir) / "data")
    )


def _agree_access(data_dir: Path) -> EmbeddedAccess:
    """The ports and passwords of this run, written down before anything listens."""
    prepare_folder(data_dir)
    try:
        access = EmbeddedAccess.read(data_dir) or EmbeddedAccess()
    except ValueError:
        # Without the chain: pydantic quotes what it read, and this file is all passwords.
        raise StackFailed(
            f"{data_dir}/embedded.json is damaged; restore it, or move the folder away"
        ) from None
    _choose_ports(access)
    access.write(data_dir)
    return access


def _choose_ports(access: EmbeddedAccess) -> None:
    """Keep the ports of the last run; choose those anew that another program has taken since."""
    taken = set[int]()
    holders: list[tuple[PostgresAccess | ValkeyAccess | S3Access, str]] = [
        (access.postgres, "port"),
        (access.valkey, "port"),
        *((access.s3, field) for field in ("port", "master_port", "volume_port", "filer_port")),
    ]
    for holder, field in holders:
        port: int = getattr(holder, field)
        neighbour_free = holder is not access.s3 or is_free(port + GRPC_OFFSET)
        if port and port not in taken and is_free(port) and neighbour_free:
            taken.add(port)
        else:
            setattr(holder, field, choose_port(taken))
