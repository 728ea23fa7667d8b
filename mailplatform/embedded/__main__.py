"""`python -m mailplatform.embedded` runs the stack until it is told to stop; `… stop` tells it."""

import os
import signal
import sys
import time
from pathlib import Path

from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.folder import prepare_folder, running_supervisor
from mailplatform.embedded.log import Log
from mailplatform.embedded.supervisor import Supervisor
from mailplatform.environment import EnvironmentInvalid, read_environment

_STOP_SECONDS = 15.0


def run() -> None:
    environment = read_environment()
    prepare_folder(environment.data_dir)
    log = Log(environment.data_dir / "logs")
    try:
        Supervisor(environment, log).run()
    finally:
        log.close()


def stop(data_dir: Path) -> None:
    """End the supervisor of this data folder and wait until it is gone. Raises StackFailed when it stays."""
    supervisor = running_supervisor(data_dir)
    if supervisor is None:
        sys.stdout.write(f"nothing runs on {data_dir}\n")
        return
    os.kill(supervisor, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while running_supervisor(data_dir) is not None:
        if time.monotonic() > deadline:
            raise StackFailed(f"process {supervisor} did not stop within {_STOP_SECONDS:.0f} s")
        time.sleep(0.1)
    sys.stdout.write("stopped\n")


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case []:
                run()
            case ["stop"]:
                stop(read_environment().data_dir)
            case _:
                sys.stderr.write("usage: python -m mailplatform.embedded [stop]\n")
                return 2
    except (StackFailed, EnvironmentInvalid) as error:
        sys.stderr.write(f"mailplatform: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
