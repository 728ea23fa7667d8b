"""Debian's own clamd and rspamd, on loopback and without a network, for the slow tests.

Each has a folder of its own, readable for the account it runs under: root's rspamd gives its rights up, and a folder of
pytest's it could not enter. clamd gets a database of one signature, made here; rspamd gets no module that would ask
another server.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from apps.screening.clamd import ClamdScanner
from apps.screening.errors import ScannerUnavailable
from apps.screening.rspamd import RspamdScanner
from mailplatform.embedded.ports import choose_port

READY_SECONDS = 180
_SIGNATURE = b"$EICAR-STANDARD-ANTIVIRUS-" + b"TEST-FILE!$H+H*"
_QUIET_MODULES = (
    "arc antivirus asn clickhouse dkim_signing elastic fuzzy_check greylist history_redis metadata_exporter mx_check"
    " neural phishing ratelimit rbl replies reputation spf url_redirector external_services p0f"
)


def program(name: str, package: str) -> str:
    """Where a daemon is; the test is skipped, by name, where it is not."""
    found = shutil.which(name, path=f"{os.defpath}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's {package}; `make scanners` installs it as root)")
    return found


class RealDaemon:
    """A daemon in a process group of its own, to stop, pause and start again on its port."""

    def __init__(self, folder: Path, command: list[str], url: str, ping: Callable[[], None]) -> None:
        self.folder = folder
        self.url = url
        self._command = command
        self._ping = ping
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "output").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, self._told()
            assert time.monotonic() < deadline, self._told()
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _is_ready(self) -> bool:
        try:
            self._ping()
        except ScannerUnavailable:
            return False
        return True

    def _told(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-2000:]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def real_clamd() -> RealDaemon:
    binary = program("clamd", "clamav-daemon")
    folder = Path(tempfile.mkdtemp(prefix="clamd-"))
    port = choose_port(set())
    (folder / "db").mkdir()
    (folder / "db" / "test.ndb").write_text(f"Eicar-Test-Signature:0:*:{_SIGNATURE.hex()}\n")
    lines = [
        f"DatabaseDirectory {folder / 'db'}", "TCPAddr 127.0.0.1", f"TCPSocket {port}", "Foreground yes",
        "StreamMaxLength 2M", "ReadTimeout 30", f"TemporaryDirectory {folder}",
    ]  # fmt: skip
    if os.geteuid() == 0:
        lines.append("User root")
    (folder / "clamd.conf").write_text("\n".join(lines) + "\n")
    url = f"tcp://127.0.0.1:{port}"
    return RealDaemon(folder, [binary, "--config-file", str(folder / "clamd.conf")], url, _ping_clamd(url))


def real_rspamd() -> RealDaemon:
    binary = program("rspamd", "rspamd")
    folder = Path(tempfile.mkdtemp(prefix="rspamd-"))
    taken = set[int]()
    port, controller, proxy, nameserver = (choose_port(taken) for _ in range(4))
    config: Mapping[str, str] = {
        # Without hyperscan, whose patterns take a minute to compile.
        "options.inc": f'disable_hyperscan = true; dns {{ nameserver = ["127.0.0.1:{nameserver}"]; }}\n',
        "worker-normal.inc": f'bind_socket = "127.0.0.1:{port}"; count = 1;\n',
        "worker-controller.inc": f'bind_socket = "127.0.0.1:{controller}"; count = 1;\n',
        "worker-proxy.inc": f'bind_socket = "127.0.0.1:{proxy}"; count = 1;\n',
        "logging.inc": 'type = "console"; level = "warning";\n',
        **{f"{module}.conf": "enabled = false;\n" for module in _QUIET_MODULES.split()},
    }
    for name in ("local/local.d", "local/override.d", "run", "db", "log"):
        (folder / name).mkdir(parents=True)
    for name, text in config.items():
        (folder / "local/local.d" / name).write_text(text)
    names = {"LOCAL_CONFDIR": "local", "RUNDIR": "run", "DBDIR": "db", "LOGDIR": "log"}
    command = [binary, "-f", *(f"--var={name}={folder / place}" for name, place in names.items())]
    if os.geteuid() == 0:
        account = pwd.getpwnam("_rspamd")
        folder.chmod(0o755)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, account.pw_uid, account.pw_gid)
        command += ["-u", "_rspamd", "-g", "_rspamd"]
    url = f"http://127.0.0.1:{port}"
    return RealDaemon(folder, command, url, _ping_rspamd(url))


# A fresh scanner for each question: its breaker must not remember that the daemon was not there yet.


def _ping_clamd(url: str) -> Callable[[], None]:
    return lambda: ClamdScanner(url).ping()


def _ping_rspamd(url: str) -> Callable[[], None]:
    def ping() -> None:
        scanner = RspamdScanner(url)
        try:
            scanner.ping()
        finally:
            scanner.close()

    return ping
