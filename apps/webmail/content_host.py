"""Requests for the content origin see the content's URLs and nothing else; the pages' origin never serves content."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class ContentHostMiddleware:
    """Chooses the URLs by the host asked for. Stands before sessions: the content origin is cookieless."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.content_host = urlsplit(settings.CONTENT_ORIGIN).netloc

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.get_host() == self.content_host:
            request.urlconf = settings.CONTENT_URLCONF
        return self.get_response(request)
