"""The OpenAPI document: how views tell what they take and answer, and where it is served.

Both pages are public: they describe the product and hold nothing of any tenant.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from apps.api.problems import MEDIA_TYPE
from apps.api.serializers.problems import ProblemSerializer

SerializerClass = type[serializers.Serializer[Any]]
Method = TypeVar("Method", bound=Callable[..., Any])

EVERYWHERE = (401, 429, 500, 503)
MEANINGS = {
    400: "The request broke off.",
    401: "No key, or one that is unknown or revoked.",
    403: "The key may see this and not change it; it takes the admin role.",
    404: "It does not exist, or the key may not see it.",
    409: "It conflicts with what was done before; `code` says how.",
    413: "The request is larger than the server accepts.",
    415: "The body is not `application/json`.",
    422: "Something in the request is wrong; `errors` names the fields.",
    429: "Too many requests; `Retry-After` says for how long.",
    500: "Something went wrong in the server. It has been logged.",
    503: "A server of ours is away. Try again after `Retry-After` seconds, with the same `Idempotency-Key`.",
}
WITH_BODY = (413, 415, 422)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="For 24 hours the same key with the same body gives the same answer and sends nothing twice; "
    "with another body it is 409.",
)


def documents(
    name: str,
    summary: str,
    *,
    answers: Mapping[int, SerializerClass | None],
    request: SerializerClass | None = None,
    query: SerializerClass | None = None,
    problems: tuple[int, ...] = (),
    parameters: tuple[OpenApiParameter, ...] = (),
) -> Callable[[Method], Method]:
    """Tell the document what one method takes and every answer it can give. `name` is for generated clients.

    An answer that is None has no body.
    """
    statuses = {*EVERYWHERE, *problems, *(WITH_BODY if request else ()), *((422,) if query else ())}
    responses: dict[Any, Any] = dict(answers)
    responses |= {
        (status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=MEANINGS[status])
        for status in sorted(statuses)
    }
    decorate: Callable[[Method], Method] = extend_schema(
        operation_id=name,
        summary=summary,
        request={"application/json": request} if request else None,
        responses=responses,
        parameters=[*([query] if query else []), *parameters],
    )
    return decorate


def documents_bytes(name: str, summary: str, media_type: str) -> Callable[[Method], Method]:
    """The same for a method that answers bytes."""
    responses: dict[Any, Any] = {
        (200, media_type): OpenApiResponse(OpenApiTypes.BINARY, description="The bytes."),
        304: OpenApiResponse(description="The bytes you have, by `If-None-Match`."),
    }
    responses |= {
        (status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=MEANINGS[status])
        for status in sorted({*EVERYWHERE, 404})
    }
    decorate: Callable[[Method], Method] = extend_schema(
        operation_id=name, summary=summary, responses=responses
    )
    return decorate


@cache
def page_of(row: SerializerClass) -> Any:
    """The shape of a list's page."""
    name = row.__name__.removesuffix("Serializer")
    return inline_serializer(
        f"{name}Page",
        {
            "results": row(many=True),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
        },
    )


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library has no types
    """Names the API key in the document."""

    target_class = "apps.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key of this platform: `mp_…`"}
