"""Where the embedded servers listen, and with which passwords: `embedded.json` in the data folder.

The stack writes this file (mode 0600) before it starts a server; every other process only reads it. Ports are
chosen at the first start and kept, so that an open `psql` survives a restart; one that somebody else has
taken meanwhile is chosen anew.
"""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

FILE_NAME = "embedded.json"
CERTIFICATE_FILE_NAME = (
    "smtp.pem"  # see `certificate`; named here, where every process may look at little cost
)


def generate_password() -> str:
    """A secret of 192 bits that needs no quoting in a URL, a shell or a configuration file."""
    return secrets.token_urlsafe(24)


class PostgresAccess(BaseModel):
    """The superuser's password serves the stack alone; the product signs in as `mail`, the owner."""

    model_config = ConfigDict(extra="forbid")

    port: int = 0
    password: str = Field(default_factory=generate_password, repr=False)
    superuser_password: str = Field(default_factory=generate_password, repr=False)

    @property
    def url(self) -> str:
        return f"postgresql://mail:{self.password}@127.0.0.1:{self.port}/mail"


class ValkeyAccess(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int = 0
    password: str = Field(default_factory=generate_password, repr=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class S3Access(BaseModel):
    """SeaweedFS is four servers in one process, so it has four ports; only `port` speaks S3."""

    model_config = ConfigDict(extra="forbid")

    port: int = 0
    master_port: int = 0
    volume_port: int = 0
    filer_port: int = 0
    access_key: str = Field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = Field(default_factory=generate_password, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class EmbeddedAccess(BaseModel):
    """The whole file. A port of 0 has not been chosen yet."""

    model_config = ConfigDict(extra="forbid")

    postgres: PostgresAccess = Field(default_factory=PostgresAccess)
    valkey: ValkeyAccess = Field(default_factory=ValkeyAccess)
    s3: S3Access = Field(default_factory=S3Access)

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """What the stack has written, or None where it never ran.

        Raises OSError when the file cannot be read, pydantic's ValidationError (a ValueError) when it is
        damaged.
        """
        try:
            text = (data_dir / FILE_NAME).read_text()
        except FileNotFoundError:
            return None
        return cls.model_validate_json(text)

    def write(self, data_dir: Path) -> None:
        """Replace the file in one step, so that a reader or a crash never meets half of it."""
        write_secret_file(data_dir / FILE_NAME, self.model_dump_json(indent=2) + "\n")


def write_secret_file(path: Path, text: str) -> None:
    """Put `text` at `path` with mode 0600, atomically; durable once this returns."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp gives 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
