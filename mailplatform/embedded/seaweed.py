"""SeaweedFS 4 as the S3 server: master, volume, filer and S3 gateway in one `weed server` process.

Every listener is bound to loopback (`-ip` alone would advertise an outside address). S3 asks for the
generated keys.

Limits: the filer's HTTP port and the gRPC ports ask for no password, so whoever has an account on this
machine can reach the objects; and although each write is synced, the store's own index is not guarded against
a power cut. It is meant for a trial or a small team on a machine of its own; see docs/operations.md.
"""

import json
import signal
import sysconfig
import tempfile
from pathlib import Path

from mailplatform.embedded.access import S3Access, write_secret_file
from mailplatform.embedded.child import Child
from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.log import Log
from mailplatform.embedded.ports import GRPC_OFFSET
from mailplatform.embedded.readiness import fetch
from mailplatform.embedded.server import EmbeddedServer

# A clean stop waits 15 s for the filer; killed, it loses nothing that was answered. So it is asked, and not
# waited for.
_STOP_GRACE_SECONDS = 0.5
_SHELL_SECONDS = 30
_ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]
_SOCKET_FOLDER = Path(tempfile.gettempdir())


class SeaweedServer(EmbeddedServer):
    name = "s3"
    title = "SeaweedFS"

    def __init__(self, data_dir: Path, access: S3Access, log: Log, *, bucket: str) -> None:
        super().__init__(data_dir, log)
        self._folder = data_dir / "seaweed"
        self._access = access
        self._bucket = bucket

    def prepare(self) -> None:
        """Write the identities file; without one S3 would let everybody in."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        credentials = [{"accessKey": self._access.access_key, "secretKey": self._access.secret_key}]
        identity = {"name": "mail", "credentials": credentials, "actions": _ACTIONS}
        write_secret_file(self._folder / "s3.json", json.dumps({"identities": [identity]}))
        self._remove_sockets()

    def spawn(self) -> Child:
        return self._run("-logtostderr=true", "server", *self._options())

    def is_ready(self) -> bool:
        """Its own /healthz is early: until the volume server is known to the master, each request answers 500."""
        health = fetch("127.0.0.1", self._access.port, "/healthz")
        return health is not None and health.is_ok and self._knows_its_volumes()

    def complete(self) -> None:
        """Have the filer sync what it writes, and make the bucket; both persist, so once is enough."""
        marker = self._folder / "configured"
        if marker.exists() and marker.read_text() == self._bucket:
            return
        configure = "fs.configure -locationPrefix=/buckets/ -fsync=true -apply"
        script = f"{configure}\ns3.bucket.create -name {self._bucket}\n"
        master, filer = f"127.0.0.1:{self._access.master_port}", f"127.0.0.1:{self._access.filer_port}"
        child = self._run("shell", f"-master={master}", f"-filer={filer}", stdin_text=script)
        if not child.wait(_SHELL_SECONDS):
            child.kill()
        if child.status != 0:
            raise StackFailed(f"SeaweedFS's shell {child.describe_end()}: {self.explain()}")
        marker.write_text(self._bucket)

    def end(self, child: Child) -> None:
        child.stop(signal.SIGTERM, grace_seconds=_STOP_GRACE_SECONDS)
        self._remove_sockets()

    def kill(self) -> None:
        super().kill()
        self._remove_sockets()

    def _run(self, *arguments: str, stdin_text: str = "") -> Child:
        # Without these limits it grows to 600 MB under load, the greater part of it garbage. 230 MB it takes for
        # itself, most of them buffers not touched yet: held below that it does nothing but collect, 1.4 ms a PUT.
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        return self.execute(
            [weed, *arguments], cwd=self._folder, stdin_text=stdin_text, GOMEMLIMIT="320MiB", GOGC="50"
        )

    def _options(self) -> list[str]:
        access = self._access
        return [
            f"-dir={self._folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={access.master_port}",
            "-master.telemetry=false",
            # It stands alone and always wins, but must have won before the volume server looks for a leader, 1 s
            # after the start: one that finds none tries again only after 5 s.
            "-master.electionTimeout=400ms",
            "-master.heartbeatInterval=100ms",
            "-master.volumeSizeLimitMB=256",
            f"-volume.port={access.volume_port}",
            "-volume.max=0",  # as many as the disk holds
            "-volume.preStopSeconds=1",
            "-filer",
            f"-filer.port={access.filer_port}",
            f"-filer.localSocket={self._socket_of('filer')}",
            "-s3",
            f"-s3.port={access.port}",
            f"-s3.config={self._folder / 's3.json'}",
            f"-s3.localSocket={self._socket_of('s3')}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.autoCreateBucket=false",
        ]

    def _knows_its_volumes(self) -> bool:
        status = fetch("127.0.0.1", self._access.master_port, "/dir/status")
        if status is None or not status.is_ok:
            return False
        return bool(json.loads(status.body)["Topology"].get("DataCenters"))

    def _socket_of(self, part: str) -> Path:
        # Not in the data folder, whose path may be longer than the 107 bytes a Unix socket's name can have.
        return _SOCKET_FOLDER / f"seaweedfs-{part}-{self._access.port}.sock"

    def _remove_sockets(self) -> None:
        """Killed, it leaves its sockets behind; those of gRPC it always makes in /tmp."""
        access = self._access
        ports = {
            "master": access.master_port,
            "volume": access.volume_port,
            "filer": access.filer_port,
            "s3": access.port,
        }
        for part, port in ports.items():
            Path(f"/tmp/seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)  # noqa: S108
        for part in ("filer", "s3"):
            self._socket_of(part).unlink(missing_ok=True)
