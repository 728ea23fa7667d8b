"""What waits, and why."""

from dataclasses import asdict

import structlog
from django.utils import timezone
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents
from apps.api.serializers.queue import QueueSerializer
from apps.api.views.base import ApiView
from apps.monitoring.heartbeat import connect, living
from apps.outbound.selectors import queue_figures

log = structlog.get_logger(__name__)


class QueueView(ApiView):
    """What waits to be sent, and why."""

    @documents(
        "get_queue", "The outgoing queue in figures, and why mail waits", answers={200: QueueSerializer}
    )
    def get(self, request: Request) -> Response:
        figures = queue_figures(self.principal, timezone.now())
        workers = {"busy": figures.workers_busy, "total": worker_processes()}
        return Response(QueueSerializer({**asdict(figures), "workers": workers}).data)


def worker_processes() -> int | None:
    """How many worker processes are alive; None while Redis, where they say so, is away."""
    try:
        return living(connect())["work"]
    except RedisError as error:
        log.warning("workers_not_counted", error=type(error).__name__)
        return None
