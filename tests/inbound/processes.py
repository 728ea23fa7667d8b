"""The receive process, and what a work process does for incoming mail."""

from types import TracebackType
from typing import Self

import dramatiq

from apps.inbound.actors import ingest
from mailplatform.embedded.ports import choose_port
from tests.processes import ProductProcess


class ReceiveProcess(ProductProcess):
    """`manage.py receive` on ports of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        """Another program in its place, such as one that dies, is named by `arguments`."""
        self.port = choose_port(set())
        self.submission_port = choose_port({self.port})
        super().__init__(
            *(arguments or ("manage.py", "receive")),
            ready="receive_ready",
            SMTP_PORT=str(self.port),
            SUBMISSION_PORT=str(self.submission_port),
            **environment,
        )


class Worker:
    """What a work process does for incoming mail, in this process: the real broker, the real actor."""

    def __init__(self, threads: int = 2) -> None:
        self._worker = dramatiq.Worker(
            dramatiq.get_broker(), queues={ingest.queue_name}, worker_threads=threads, worker_timeout=50
        )

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.stop(timeout=15_000)
