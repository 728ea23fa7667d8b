"""The one socket address."""

from django.urls import path

from apps.live.consumers import MailboxNotices

websocket_urlpatterns = [path("live/", MailboxNotices.as_asgi())]
