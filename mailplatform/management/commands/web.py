"""The web process: pages, REST and live sockets, served by uvicorn."""

from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand

GRACE_SECONDS = 4


class Command(BaseCommand):
    help = "Serve the webmail, the REST API and live sockets on WEB_HOST:WEB_PORT."

    def handle(self, *args: Any, **options: Any) -> None:
        uvicorn.run(
            "mailplatform.asgi:application",
            host=settings.WEB_HOST,
            port=settings.WEB_PORT,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
