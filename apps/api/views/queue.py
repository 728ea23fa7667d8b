"""What waits and why, and what is held."""

from dataclasses import asdict

import structlog
from django.utils import timezone
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents, page_of
from apps.api.serializers.queries import PageQuery
from apps.api.serializers.queue import QueueSerializer
from apps.api.serializers.tickets import HeldSerializer
from apps.api.views.base import ApiView
from apps.monitoring.heartbeat import connect, living
from apps.outbound.selectors import queue_figures
from apps.tickets.selectors import held_for

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


class HeldView(ApiView):
    """Mail with a cause to look at it first. This version holds nothing back, so the list is empty."""

    @documents(
        "list_held",
        "Incoming mail held for a person, newest first",
        answers={200: page_of(HeldSerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(held_for(self.principal), query, by="held_at", kind=HeldSerializer)


def worker_processes() -> int | None:
    """How many worker processes are alive; None while Redis, where they say so, is away."""
    try:
        return living(connect())["work"]
    except RedisError as error:
        log.warning("workers_not_counted", error=type(error).__name__)
        return None
