"""Two whole products, started as `make run` starts them, and a machine that answers whatever it is told.

Both know themselves as demo.test. What is between them (`_Between`) has names for them, writes these into every mail on
its way, and so lets each believe that it is the only demo.test of the world.
"""

import http.client
import json
import shutil
import smtplib
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

import pytest

from apps.automation.acknowledge import PER_SENDER_PER_DAY
from tests.embedded.runs import start_product
from tests.polling import wait_until
from tests.remote.server import RemoteServer

pytestmark = [pytest.mark.slow, pytest.mark.stack]

MACHINE = "away@third.test"
NAMES = ("left.test", "right.test")
# Each product's first mail goes to two; each acknowledges what the other two write so often a day and no more.
BOUND = 2 * 2 + 2 * 2 * PER_SENDER_PER_DAY
QUIET_SECONDS = 15.0


class Product:
    """One of the two, by its REST API and its port for mail."""

    def __init__(self, name: str, data_dir: Path) -> None:
        self.name = name
        self._demo: dict[str, Any] = json.loads((data_dir / "demo.json").read_text())

    def ask(self, method: str, path: str, **body: Any) -> Any:
        connection = http.client.HTTPConnection(self._demo["web"].removeprefix("http://"), timeout=30)
        with closing(connection):
            headers = {"Authorization": f"Bearer {self._demo['api_key']}", "Content-Type": "application/json"}
            connection.request(method, f"/api/v1/{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, said
            return json.loads(said)

    def acknowledge_everything(self) -> None:
        mailboxes = self._demo["mailboxes"]
        [support] = [one["id"] for one in mailboxes if one["address"] == "support@demo.test"]
        self.ask("PATCH", f"mailboxes/{support}/acknowledgement", is_on=True, text="We have it: #{number}")

    def take(self, sender: str, recipient: str, content: bytes) -> None:
        host, port = self._demo["smtp"].split(":")
        with smtplib.SMTP(host, int(port), timeout=30) as client:
            client.sendmail(sender, [recipient], content)


class _Between:
    """Carries what each product's relay takes to whom it is for, and is the machine that answers everything."""

    def __init__(self, relays: tuple[RemoteServer, RemoteServer]) -> None:
        self.carried = Counter[tuple[str, str]]()
        self.machine_wrote = 0
        self._relays = dict(zip(NAMES, relays, strict=True))
        self._seen = Counter[str]()
        self._products: dict[str, Product] = {}
        self._stopping = threading.Event()
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()
        assert not self._errors

    @property
    def count(self) -> int:
        return sum(self.carried.values())

    def serve(self, *products: Product) -> None:
        self._products = {product.name: product for product in products}

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            try:
                for name, relay in self._relays.items():
                    fresh = relay.messages[self._seen[name] :]
                    self._seen[name] += len(fresh)
                    for message in fresh:
                        for recipient in message.recipients:
                            self._carry(name, message.sender, recipient, message.content)
            except Exception as error:  # noqa: BLE001 - told when the test ends
                self._errors.append(error)
                return

    def _carry(self, origin: str, sender: str, recipient: str, content: bytes) -> None:
        self.carried[origin, recipient] += 1
        if recipient == MACHINE:
            self._answer(origin)
            return
        target = recipient.rpartition("@")[2]
        renamed = content.replace(b"demo.test", origin.encode()).replace(target.encode(), b"demo.test")
        self._products[target].take(
            sender.replace("demo.test", origin), recipient.replace(target, "demo.test"), renamed
        )

    def _answer(self, origin: str) -> None:
        """As a badly made program does: to everybody, marked as nothing, answering no mail in particular."""
        self.machine_wrote += 1
        number = self.machine_wrote
        content = (
            f"From: Away <{MACHINE}>\r\nTo: support@demo.test\r\nSubject: I am away ({number})\r\n"
            f"Message-ID: <{number}@third.test>\r\n\r\nBack on Monday.\r\n"
        )
        self._products[origin].take(MACHINE, "support@demo.test", content.encode())


@pytest.fixture
def data_dirs() -> Iterator[list[Path]]:
    folders = [Path(tempfile.mkdtemp(prefix="mailplatform-")) for _ in NAMES]
    for folder in folders:
        folder.chmod(0o711)
    yield folders
    for folder in folders:
        shutil.rmtree(folder)


def test_two_products_and_a_machine_that_answers_everything_end_in_silence(data_dirs: list[Path]) -> None:
    with ExitStack() as stack:
        relays = stack.enter_context(RemoteServer()), stack.enter_context(RemoteServer())
        # One after the other: what one has chosen as its port must be seen to be taken when the other chooses.
        for folder, relay in zip(data_dirs, relays, strict=True):
            run = stack.enter_context(start_product(folder, RELAY_URL=f"{relay.url}?tls=none"))
            run.wait_for("ready: ")
        left, right = (Product(name, folder) for name, folder in zip(NAMES, data_dirs, strict=True))
        between = stack.enter_context(_Between(relays))
        between.serve(left, right)
        for product in (left, right):
            product.acknowledge_everything()
        for product, other in ((left, right), (right, left)):
            product.ask(
                "POST",
                "messages",
                **{"from": "support@demo.test", "to": [f"support@{other.name}", MACHINE]},
                subject=f"From {product.name}",
                text="Do you hear us?",
            )
        wait_until(lambda: between.count > 4, what="the first acknowledgement")
        _wait_for_silence(between)
        assert between.count <= BOUND, between.carried
        # Each heard the other's first mail and said so, and the machine was told no more often than a person would be.
        assert between.carried["left.test", "support@right.test"] >= 1
        assert between.carried["right.test", "support@left.test"] >= 1
        for name in NAMES:
            assert between.carried[name, MACHINE] <= 1 + PER_SENDER_PER_DAY
        assert between.machine_wrote == sum(between.carried[name, MACHINE] for name in NAMES)


def _wait_for_silence(between: _Between) -> None:
    """Until nothing was carried for a while; `BOUND` is far below what a loop would reach before."""
    silence = threading.Event()
    while True:
        before = between.count
        assert before <= 2 * BOUND, f"they never stop: {between.carried}"
        silence.wait(QUIET_SECONDS)
        if between.count == before:
            return
