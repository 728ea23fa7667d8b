"""The `Idempotency-Key` header: a client's name for one request, however often it has to be sent."""

from rest_framework.request import Request

from apps.api.problems import FieldError, InvalidRequest

HEADER = "Idempotency-Key"
MAX_CHARS = 255


def idempotency_key(request: Request) -> str | None:
    """The request's key, or None. Raises InvalidRequest for one that is empty, too long or not printable ASCII."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    key = key.strip()
    if not 0 < len(key) <= MAX_CHARS or not key.isascii() or not key.isprintable():
        raise InvalidRequest(
            FieldError(HEADER, "invalid", f"1 to {MAX_CHARS} printable ASCII characters, please.")
        )
    return key
