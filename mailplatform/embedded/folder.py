"""The data folder: whose it is, and that one supervisor at a time works in it."""

import contextlib
import fcntl
import os
import pwd
from pathlib import Path
from types import TracebackType
from typing import Self

from mailplatform.embedded.errors import FolderUnusable

LOCK_NAME = "supervisor.lock"


class FolderLock:
    """Held while a supervisor lives; the kernel lets it go however that ends. The file has its pid."""

    def __init__(self, data_dir: Path) -> None:
        """Make the folder where it is missing and take its lock. Raises FolderUnusable."""
        prepare_folder(data_dir)
        try:
            self._file = (data_dir / LOCK_NAME).open("a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise FolderUnusable(
                f"{data_dir} is in use by process {running_supervisor(data_dir)}; stop it (make stop) or set "
                "MAILPLATFORM_DATA_DIR to another folder"
            ) from None
        except OSError as error:
            raise FolderUnusable(
                f"MAILPLATFORM_DATA_DIR: cannot write {data_dir}: {error.strerror}"
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        self._file.close()


def prepare_folder(data_dir: Path) -> None:
    """Make sure the folder exists and is this user's own.

    A folder that two users write in turn ends with files the other cannot read, so one is refused at once,
    root's visit to somebody else's folder too.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = data_dir.stat().st_uid
    except OSError as error:
        raise FolderUnusable(f"MAILPLATFORM_DATA_DIR: cannot use {data_dir}: {error.strerror}") from error
    if owner != os.geteuid():
        raise FolderUnusable(
            f"MAILPLATFORM_DATA_DIR: {data_dir} belongs to {_name_of(owner)}; start as {_name_of(owner)}, or "
            "set another folder"
        )


def running_supervisor(data_dir: Path) -> int | None:
    """The process id of the supervisor that holds the folder, or None where none does."""
    try:
        with (data_dir / LOCK_NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except FileNotFoundError:
        pass
    return None


def _name_of(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"
