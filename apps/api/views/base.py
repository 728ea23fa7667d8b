"""What every view of the API has in common: the key, the limits, JSON in and out, lists by the page."""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.principal import Principal
from apps.api.authentication import KeyAuthentication
from apps.api.pagination import paginate
from apps.api.parsing import StrictJSONParser
from apps.api.throttling import KeyThrottle

Row = TypeVar("Row", bound=Model)


class OneFormat(BaseContentNegotiation):
    """We answer in one format, whatever `Accept` says (RFC 9110 §12.5.1 allows it); a body must be JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class ApiView(APIView):
    """A view for callers with a key. Subclasses parse, call one function of a room below, and render."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (IsAuthenticated,)
    throttle_classes = (KeyThrottle,)
    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = OneFormat
    http_method_names = ["get", "head", "post", "patch", "delete"]  # no OPTIONS: the document tells more

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        if "CONTENT_LENGTH" not in request.META and "HTTP_TRANSFER_ENCODING" in request.META:
            # A chunked body (RFC 9112 §7.1) has no length, and DRF would take it for an empty one.
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        return super().initialize_request(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def principal(self) -> Principal:
        """Who is asking."""
        principal = self.request.auth
        if not isinstance(principal, Principal):
            msg = "the view ran without authentication"
            raise TypeError(msg)
        return principal

    def read_body(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The body, checked. Raises ValidationError or InvalidRequest, which are answered 422."""
        return _checked(kind, self.request.data)

    def read_query(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The query parameters, checked likewise."""
        return _checked(kind, self.request.query_params.dict())

    def page(
        self,
        rows: QuerySet[Row] | Sequence[QuerySet[Any]],
        query: dict[str, Any],
        *,
        by: str,
        kind: type[serializers.Serializer[Any]],
        describe: Callable[[Sequence[Row]], Sequence[Any]] = lambda rows: rows,
    ) -> Response:
        """A page of a list; `describe` turns its rows into what `kind` renders, all at once."""
        page = paginate(self.request, rows, by=by, cursor=query["cursor"], limit=query["limit"])
        results = kind(describe(page.rows), many=True).data
        return Response({"results": results, "next": page.next, "previous": page.previous})

    def send_bytes(
        self, content: Callable[[], bytes], *, etag: str, content_type: str, disposition: str
    ) -> HttpResponseBase:
        """Immutable bytes as a download; 304 when the client has them. `content` is asked for only when needed."""
        etag = f'"{etag}"'
        headers = {
            "ETag": etag,
            "Cache-Control": "private, no-cache",
            "Content-Disposition": disposition,
            "X-Content-Type-Options": "nosniff",
        }
        if etag in parse_etags(self.request.headers.get("If-None-Match", "")):
            return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return HttpResponse(content(), content_type=content_type, headers=headers)


def _checked(kind: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    checked: dict[str, Any] = serializer.validated_data
    return checked
