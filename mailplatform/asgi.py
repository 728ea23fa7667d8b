"""The web process's two doors: HTTP to Django, WebSockets to `live`."""

import django

django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402 - needs the app registry
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import OriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from apps.api.body_limit import BodyLimit  # noqa: E402
from apps.live.routing import websocket_urlpatterns  # noqa: E402
from apps.outbound.relays.environment import learn_relays  # noqa: E402
from apps.webmail.views.troubles import too_large_page  # noqa: E402
from mailplatform.http import HttpHandler  # noqa: E402

# For the test button; the workers reconcile the rows.
learn_relays(settings.RELAY_URLS)

application = ProtocolTypeRouter(
    {
        # As many threads as connections to PostgreSQL: one more would wait for one.
        "http": BodyLimit(
            HttpHandler(threads=settings.DATABASE_CONNECTIONS),
            settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            page=too_large_page,
        ),
        "websocket": OriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), [settings.WEB_ORIGIN]
        ),
    }
)
