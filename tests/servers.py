"""Real PostgreSQL, Valkey and S3 for every test, started before Django reads its settings.

A pytest plugin (`-p tests.servers`), because settings are loaded before any conftest. The servers live in
`var/test` of this checkout, on free ports and with passwords of their own, so that two checkouts may test
side by side; they end with the session, and die with pytest however that ends. Their PostgreSQL does not
sync: tests kill processes, not machines.

With `-n` (pytest-xdist) several processes of pytest share the tests, and each has servers of its own, in `var/test-gw0`
and so on, so that what one of them stops is missed by no other. The process that hands out tests has none.

What a developer has set in the environment or in `.env` does not reach the tests.
"""

import os
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailplatform.embedded import ports
from mailplatform.embedded.access import EmbeddedAccess
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.folder import FolderLock
from mailplatform.embedded.log import Log
from mailplatform.embedded.ports import choose_port
from mailplatform.embedded.postgres import PostgresServer
from mailplatform.embedded.seaweed import SeaweedServer
from mailplatform.embedded.stack import Stack, end_leftovers
from mailplatform.embedded.valkey import ValkeyServer
from mailplatform.environment import PROJECT_ROOT, Environment, read_environment

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
DATA_DIR = PROJECT_ROOT / "var" / (f"test-{_WORKER}" if _WORKER else "test")
_PORTS_EACH = 2500
_PUBLIC_PORTS = ("WEB_PORT", "SMTP_PORT", "SUBMISSION_PORT", "SINK_PORT")


@dataclass(frozen=True)
class Servers:
    """Each can be stopped, killed, and started again on its port: `servers.s3.stop()`, then
    `servers.s3.restart()`; `servers.postgres.kill()`; `servers.valkey.flush()`."""

    postgres: PostgresServer
    valkey: ValkeyServer
    s3: SeaweedServer
    access: EmbeddedAccess


_SERVERS = pytest.StashKey[Servers]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Before pytest-django, which loads the settings in the same hook."""
    options = early_config.known_args_namespace
    hands_out = bool(options.numprocesses) and not _WORKER
    if _WORKER:
        _keep_to_own_ports(int(_WORKER.removeprefix("gw")))
    if hands_out:
        _forget_environment()
    elif not (options.help or options.version):
        try:
            _start_servers(early_config)
        except StackFailed as error:
            raise pytest.UsageError(f"the servers for the tests: {error}") from error
    return (yield)


def _keep_to_own_ports(number: int) -> None:
    """Many ports are chosen long before somebody listens there: two processes must not choose among the same."""
    shares = len(ports.PORTS) // _PORTS_EACH
    first = number % shares * _PORTS_EACH
    ports.PORTS = ports.PORTS[first : first + _PORTS_EACH]


def _start_servers(config: pytest.Config) -> None:
    _forget_environment()
    # Entered by everybody, so that root's PostgreSQL stays in this checkout; what is inside guards itself.
    DATA_DIR.parent.mkdir(exist_ok=True)
    DATA_DIR.parent.chmod(0o711)
    lock = FolderLock(DATA_DIR)
    config.add_cleanup(lock.release)
    end_leftovers(DATA_DIR)
    _forget_objects(DATA_DIR / "seaweed")
    log = Log(DATA_DIR / "logs", screen=False)
    config.add_cleanup(log.close)
    stack = Stack(read_environment(), log, durable=False)
    config.add_cleanup(stack.stop)
    stack.start()
    stack.wait_ready()
    if stack.postgres is None or stack.valkey is None or stack.s3 is None:
        raise AssertionError("with nothing set, all three are embedded")
    config.stash[_SERVERS] = Servers(stack.postgres, stack.valkey, stack.s3, stack.access)


def _forget_objects(folder: Path) -> None:
    """Objects of every run would pile up. The master's state stays: a new master needs seconds to elect itself."""
    for entry in folder.glob("[!m]*"):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _forget_environment() -> None:
    """Start from the defaults, with public ports that nobody else has."""
    Environment.model_config["env_file"] = None
    for name in Environment.model_fields:
        os.environ.pop(name.upper(), None)
    os.environ["MAILPLATFORM_DATA_DIR"] = str(DATA_DIR)
    # A closed port: tests have no network, and none of them may ask the name servers of who runs them.
    os.environ["DNS_SERVERS"] = "127.0.0.1:9"
    taken = set[int]()
    for variable in _PUBLIC_PORTS:
        os.environ[variable] = str(choose_port(taken))
    # Nobody listens there yet, and nobody else may choose them.
    ports.PORTS = [port for port in ports.PORTS if port not in taken]


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """The three servers, to stop and kill; whatever is down afterwards is started again for the next test."""
    servers = request.config.stash[_SERVERS]
    yield servers
    for server in (servers.postgres, servers.valkey, servers.s3):
        if not server.is_running:
            server.restart()
