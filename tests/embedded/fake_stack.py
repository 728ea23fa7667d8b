"""The supervisor over stand-ins for the product's processes: `python -m tests.embedded.fake_stack NAME…`.

`web` answers /readyz with 200; the other names misbehave as their code below says.
"""

import sys

from mailplatform.embedded.errors import StackFailed
from mailplatform.embedded.folder import prepare_folder
from mailplatform.embedded.log import Log
from mailplatform.embedded.processes import Command
from mailplatform.embedded.supervisor import Supervisor
from mailplatform.environment import EnvironmentInvalid, read_environment

_WEB = """
import http.server, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ready")
    def log_message(self, *arguments): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(60)
"""
_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("grandchild", child.pid, flush=True)
time.sleep(600)
"""
_PROCESSES = {
    "web": _WEB,
    "stubborn": _STUBBORN,
    "parent": _PARENT,
    "idle": "import os, time; print('idle', os.getpid(), flush=True); time.sleep(600)",
    "broken": "raise SystemExit('the reason it is broken')",
}


def main(names: list[str]) -> int:
    environment = read_environment()
    prepare_folder(environment.data_dir)
    log = Log(environment.data_dir / "logs")
    preparations = [_command(name, environment.web_port) for name in names if name.startswith("first:")]
    processes = [_command(name, environment.web_port) for name in names if not name.startswith("first:")]
    try:
        Supervisor(environment, log, preparations=preparations, processes=processes).run()
    except (StackFailed, EnvironmentInvalid) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _command(name: str, web_port: int) -> Command:
    plain = name.removeprefix("first:")
    return Command(plain, (sys.executable, "-c", _PROCESSES[plain], str(web_port)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
