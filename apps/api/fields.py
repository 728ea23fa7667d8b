"""Fields that take what they say they take: no number where a text is asked for, no character a database refuses."""

import base64
import binascii
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.utils.serializer_helpers import BindingDict
from rest_framework.validators import ProhibitSurrogateCharactersValidator

MAX_METADATA_DEPTH = 20
_SURROGATE = re.compile("[\ud800-\udfff]")


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


class SharedFields(serializers.Serializer[Any]):
    """Makes its fields once for all requests; DRF does so for each, which was a tenth of taking a mail.

    Not for a serializer that is `partial` or has a context: the fields know only that they belong to this class.
    """

    @property
    def fields(self) -> BindingDict:
        return _fields_of(type(self))


@cache
def _fields_of(kind: type[SharedFields]) -> BindingDict:
    owner = kind()
    fields = BindingDict(owner)
    for name, field in owner.get_fields().items():
        fields[name] = field
    return fields


class SharedList(serializers.ListSerializer[Any]):
    """A list within shared fields: nothing of a request stays behind in it."""

    def run_child_validation(self, data: Any) -> Any:
        return self.child.run_validation(data)  # type: ignore[union-attr]  # a list has one


class FreelyNamed(serializers.Serializer[Any]):
    """For fields whose names in JSON Python or the framework keeps for itself: `from_` is `from`, `data_` is `data`."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name.removesuffix("_"): field for name, field in super().get_fields().items()}


class NoSurrogates(ProhibitSurrogateCharactersValidator):
    """DRF's own looks at each character by itself, which takes longer than all other checks of a mail together."""

    def __call__(self, value: object) -> None:
        if _SURROGATE.search(str(value)):
            super().__call__(value)


class TextField(serializers.CharField):
    """A string, kept as it is. NUL and lone surrogates, which no text has and PostgreSQL refuses, are errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **options})
        self.validators = [
            NoSurrogates() if isinstance(one, ProhibitSurrogateCharactersValidator) else one
            for one in self.validators
        ]

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
class MetadataField(serializers.Field[dict[str, Any], Any, Any, Any]):
    """Any JSON object of the caller's own, to be kept and given back. How much of it is decided where it is kept."""

    default_error_messages = {
        "invalid": "Must be an object.",
        "too_deep": f"At most {MAX_METADATA_DEPTH} levels.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        # Bounded here, because writing it as JSON again recurses.
        if _depth_exceeds(data, MAX_METADATA_DEPTH):
            self.fail("too_deep")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


def _depth_exceeds(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_depth_exceeds(member, levels - 1) for member in members)
