"""Fields that take what they say they take: no number where a text is asked for, no character a database refuses."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_DEPTH = 10


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know: a misspelt `send_at` would otherwise send at once."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                known = ", ".join(self.fields)
                raise serializers.ValidationError(
                    {
                        name: [serializers.ErrorDetail(f"There is no such field. Known: {known}.", "unknown")]
                        for name in unknown
                    }
                )
        return super().to_internal_value(data)


class FromNamed(serializers.Serializer[Any]):
    """Calls the field `sender` by its name in JSON, which is a word Python keeps for itself."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from" if name == "sender" else name: field for name, field in super().get_fields().items()}


class TextField(serializers.CharField):
    """A string, kept as it is. NUL and lone surrogates, which no text has and PostgreSQL refuses, are errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class AddressList(serializers.ListField):
    """Addresses as a person writes them: `ada@example.org` or `Ada <ada@example.org>`."""

    child = TextField(max_length=1000)

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "default": tuple, "max_length": 1000, **options})


@extend_schema_field(OpenApiTypes.BYTE)
class Base64Field(serializers.Field[bytes, str, str, bytes]):
    """Bytes in base64 (RFC 4648 §4). Line breaks, which many encoders write, are allowed; nothing else foreign is."""

    default_error_messages = {
        "invalid": "Not a string of base64.",
        "malformed": "Not base64: {reason}.",
    }

    def to_internal_value(self, data: Any) -> bytes:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return base64.b64decode("".join(data.split()).encode("ascii"), validate=True)
        except UnicodeEncodeError:
            self.fail("malformed", reason="a character outside its alphabet")
        except binascii.Error as error:
            self.fail("malformed", reason=str(error))

    def to_representation(self, value: bytes) -> str:
        return base64.b64encode(value).decode()


@extend_schema_field({"type": "object", "additionalProperties": True})
class MetadataField(serializers.JSONField):
    """Any JSON object of the caller's own, up to 16 KB. It is kept and given back, and never sent."""

    default_error_messages = {
        "not_an_object": "Must be an object.",
        "too_large": f"At most {MAX_METADATA_BYTES:,} bytes of JSON.",
        "too_deep": f"At most {MAX_METADATA_DEPTH} levels.",
        "bad_text": "Contains NUL or a lone surrogate, which are not text.",
    }

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            self.fail("not_an_object")
        self._check(value, 1)
        if len(json.dumps(value)) > MAX_METADATA_BYTES:
            self.fail("too_large")
        return value

    def _check(self, value: Any, depth: int) -> None:
        if depth > MAX_METADATA_DEPTH:
            self.fail("too_deep")
        if isinstance(value, str) and not _is_text(value):
            self.fail("bad_text")
        if isinstance(value, dict):
            for name, member in value.items():
                self._check(name, depth)
                self._check(member, depth + 1)
        elif isinstance(value, list):
            for member in value:
                self._check(member, depth + 1)


class HeadersField(serializers.DictField):
    """Header fields to add, by name. Which names and values are allowed is decided where mail is composed."""

    child = TextField(allow_blank=True)

    default_error_messages = {"bad_name": "Contains NUL or a lone surrogate, which are not text."}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, dict) and not all(_is_text(name) for name in data):
            self.fail("bad_name")
        return super().to_internal_value(data)


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
