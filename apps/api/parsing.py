"""Reading a JSON body: strictly, and saying where it breaks."""

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from rest_framework.parsers import JSONParser

from apps.api.problems import BODY, FieldError, InvalidRequest


class StrictJSONParser(JSONParser):
    """JSON as RFC 8259 has it: UTF-8, no NaN, no name twice. Anything else is 422 with its line and column.

    A subclass of DRF's parser because DRF hands such a one the body that was checked against the size limit.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            # RFC 8259 §8.1: UTF-8, whatever a charset parameter says.
            text = stream.read().decode("utf-8")
        except UnicodeDecodeError as error:
            _refuse("not_utf8", f"The body is not UTF-8: byte {error.start}.", error)
        try:
            return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            _refuse(
                "malformed_json",
                f"Not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
                error,
            )
        except RecursionError as error:
            _refuse("malformed_json", "The JSON is nested too deeply.", error)
        except ValueError as error:  # an integer of more digits than Python converts
            _refuse("malformed_json", f"Not JSON we can read: {error}.", error)


def _no_constant(name: str) -> NoReturn:
    _refuse("malformed_json", f"{name} is not JSON.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 8259 §4 leaves doubled names to the reader; taking either one in silence would lose the other.
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise InvalidRequest(FieldError(name, "repeated", "This name stands twice in one object."))
        members[name] = value
    return members


def _refuse(code: str, detail: str, cause: Exception | None = None) -> NoReturn:
    raise InvalidRequest(FieldError(BODY, code, detail)) from cause
