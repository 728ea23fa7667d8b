"""The peer: Postfix, which people trust with the same promise, under a configuration of its own in a folder of its own.

Everything that costs Postfix time and our own listener does not do is switched off (DNS, host names, the pause by which
it slows a sender down), and its concurrency is raised to what our relay opens; all else is as it comes. It syncs the
queue file before its 250, as we commit, and delivers to a maildir beside that, as we file.

Postfix starts as root only, and is measured only where Debian's package is installed; `why_not` says what is missing.

Limits: Postfix changes its rights while it starts, at which Linux forgets that it was to die with its parent. When the
benchmark is killed with -9, Postfix goes on until somebody ends it: `postfix -c FOLDER/etc stop`.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.programs import wait_listening
from mailplatform.bench.stack import Progress
from mailplatform.embedded.child import Child
from mailplatform.embedded.log import Log

DOMAIN = "peer.test"
_DAEMONS = Path("/usr/lib/postfix/sbin")
_NOBODY = "nobody"
_CHECK_SECONDS = 30.0
_GRACE_SECONDS = 5.0

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
daemon_directory = {daemons}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = peer.invalid
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
in_flow_delay = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/maildir
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
relayhost = [127.0.0.1]:{remote_port}
smtp_connection_cache_destinations = static:all
"""
_CONCURRENCY = """\
initial_destination_concurrency = {connections}
default_destination_concurrency_limit = {connections}
default_process_limit = {processes}
"""
_USUAL_PROCESS_LIMIT = 100
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""
_QUEUE_MANAGER = "qmgr unix n - n 300 1 qmgr\n"


def why_not() -> str:
    """Why Postfix cannot be measured here, in a few words; "" when it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not (_DAEMONS / "master").exists() or shutil.which("postfix") is None:
        return "not installed"
    return ""


@dataclass(slots=True)
class Postfix:
    """An instance. `port` takes mail for DOMAIN into a maildir, and for anybody else to the remote server."""

    folder: Path
    port: int
    log: Log
    main: str = ""
    _master: Child | None = None

    def start(self, *, connections: int, queue_manager: bool = True) -> None:
        """Start anew; without its queue manager it takes mail and moves none of it. Raises BenchFailed.

        Not by a reload: a service that is reloaded while it starts is left alone for a minute.
        """
        self.stop()
        # A process for each connection, beside those that take mail in.
        processes = max(_USUAL_PROCESS_LIMIT, connections + 50)
        concurrency = _CONCURRENCY.format(connections=connections, processes=processes)
        (self.folder / "etc" / "main.cf").write_text(self.main + concurrency)
        services = _MASTER.format(port=self.port) + (_QUEUE_MANAGER if queue_manager else "")
        (self.folder / "etc" / "master.cf").write_text(services)
        self._master = Child(
            "postfix",
            [_DAEMONS / "master", "-s", "-c", self.folder / "etc"],
            log=self.log,
            cwd=self.folder,
            env={"MAIL_CONFIG": str(self.folder / "etc")},
        )
        wait_listening(self._master, self.port, self.log)

    def stop(self) -> None:
        master, self._master = self._master, None
        if master is not None and master.is_running:
            master.stop(signal.SIGTERM, grace_seconds=_GRACE_SECONDS)

    def count_delivered(self) -> int:
        """Mails whole in the maildir; Postfix moves them there when they are synced."""
        new = self.folder / "maildir" / "box" / "new"
        return sum(1 for _ in new.iterdir()) if new.exists() else 0

    def empty_maildir(self) -> None:
        shutil.rmtree(self.folder / "maildir" / "box")


@contextmanager
def running_postfix(port: int, remote_port: int, *, connections: int, log: Log) -> Iterator[Postfix]:
    """Postfix on 127.0.0.1, taken down and removed afterwards. Raises BenchFailed when it does not come up."""
    # Not below the data folder: nobody must be able to walk to its maildir.
    postfix = Postfix(Path(tempfile.mkdtemp(prefix="mailplatform-postfix-")), port, log)
    try:
        postfix.main = _lay_out(postfix.folder, port, remote_port)
        postfix.start(connections=connections)
        yield postfix
    finally:
        postfix.stop()
        shutil.rmtree(postfix.folder)


def _lay_out(folder: Path, port: int, remote_port: int) -> str:
    """Make its folders; what main.cf begins with."""
    folder.chmod(0o755)
    for name in ("etc", "spool", "data", "maildir"):
        (folder / name).mkdir()
    nobody = pwd.getpwnam(_NOBODY)
    os.chown(folder / "maildir", nobody.pw_uid, nobody.pw_gid)
    os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
    main = _MAIN.format(
        folder=folder,
        daemons=_DAEMONS,
        domain=DOMAIN,
        uid=nobody.pw_uid,
        gid=nobody.pw_gid,
        remote_port=remote_port,
    )
    (folder / "etc" / "main.cf").write_text(main)
    (folder / "etc" / "master.cf").write_text(_MASTER.format(port=port) + _QUEUE_MANAGER)
    # Makes the spool's folders, with the owners that Postfix wants.
    check = subprocess.run(
        ["postfix", "-c", folder / "etc", "check"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_CHECK_SECONDS,
        check=False,
    )
    if check.returncode:
        raise BenchFailed(f"postfix check: {' '.join(check.stderr.split())}")
    return main


async def wait_delivered(postfix: Postfix, count: int) -> float:
    """When (monotonic seconds, to 20 ms) the last of `count` mails was in the maildir. Raises BenchFailed."""
    progress = Progress("mails are in Postfix's maildir", count)
    while (delivered := postfix.count_delivered()) < count:
        progress.note(delivered)
        await asyncio.sleep(0.02)
    return time.monotonic()
