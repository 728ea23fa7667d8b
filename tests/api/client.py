"""A client of the API that holds every answer to the OpenAPI document.

Whatever a test asks, an answer that the document does not promise (another status, another media type, a field of
another shape) fails it.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.test import Client
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, as it is served."""
    served: dict[str, Any] = json.loads(Client().get("/api/schema/").content)
    return served


@dataclass
class Api:
    """Calls the API with a key; paths begin after /api/v1."""

    secret: str
    client: Client

    @classmethod
    def of(cls, secret: str) -> "Api":
        return cls(secret, Client(raise_request_exception=False))

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, headers=headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("PATCH", path, body, headers=headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, headers=headers)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Any:
        """One request. A body that is bytes is sent as it is, anything else as JSON."""
        url = path.removeprefix("http://testserver")
        url = url if url.startswith("/api/") else f"/api/v1{path}"
        sent = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.client.generic(method, url, data, content_type=content_type, headers=sent)
        check_answer(method, url.partition("?")[0], answer)
        return answer


def check_answer(method: str, path: str, answer: Any) -> None:
    """Fail unless the document promises this answer to this request."""
    operation = _operation(method, path)
    media_type = answer.headers.get("Content-Type", "").partition(";")[0]
    if operation is None:
        assert answer.status_code in {404, 405}, f"{method} {path} is not in the document"
        assert media_type == "application/problem+json"
        _check(answer.json(), {"$ref": "#/components/schemas/Problem"})
        return
    promised = operation["responses"].get(str(answer.status_code))
    assert promised is not None, f"{method} {path} may not answer {answer.status_code}: {answer.content!r}"
    if "content" not in promised:
        assert answer.content == b""
        return
    assert media_type in promised["content"], f"{method} {path} answered {media_type}"
    schema = promised["content"][media_type]["schema"]
    if media_type.endswith("json"):
        _check(answer.json(), schema)


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


def _check(content: Any, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": document()["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(content)
    _check_nothing_more(content, whole, whole)


def _check_nothing_more(content: Any, schema: dict[str, Any], whole: dict[str, Any]) -> None:
    """A member the document does not name is a promise nobody made."""
    while "$ref" in schema:
        schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(content, list):
        for one in content:
            _check_nothing_more(one, schema.get("items", {}), whole)
    elif isinstance(content, dict) and "properties" in schema:
        assert content.keys() <= schema["properties"].keys()
        for name, member in content.items():
            _check_nothing_more(member, schema["properties"][name], whole)
