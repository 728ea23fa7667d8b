"""How the content origin answers: a token opened, bytes sent as what they may be, and a store that is away.

Every request carries a token instead of a session. Whatever is wrong with it, and whatever its person may not see (any
more), the answer is 404. The headers assume that the bytes are hostile.
"""

import structlog
from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.blobs.errors import BlobError
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message, Part
from apps.mailboxes.selectors import message_for
from apps.webmail.content_tokens import ContentClaim, ContentKind, TokenInvalid, read_token

log = structlog.get_logger(__name__)


def opened(kind: ContentKind, token: str) -> tuple[ContentClaim, Message]:
    """What a token claims, and its message. Raises Http404."""
    try:
        claim = read_token(kind, token, timezone.now())
    except TokenInvalid as error:
        raise Http404 from error
    return claim, message_of(claim)


def message_of(claim: ContentClaim) -> Message:
    """A claim's message, if its person is still there and may still see it. Raises Http404."""
    try:
        user = User.objects.get(pk=claim.user_id, is_active=True)
        return message_for(Principal.of_user(user), claim.message_id)
    except (User.DoesNotExist, NotVisible) as error:
        raise Http404 from error


def opened_part(kind: ContentKind, token: str) -> tuple[Message, Part]:
    """The part of a message that a token claims. Raises Http404."""
    claim, message = opened(kind, token)
    return message, part_of(message, claim.n)


def part_of(message: Message, n: int) -> Part:
    """Raises Http404."""
    part = next((part for part in message.parts.all() if part.n == n), None)
    if part is None:
        raise Http404
    return part


def sandboxed(content: bytes, content_type: str, *, filename: str, in_place: bool = False) -> HttpResponse:
    """Bytes of a stranger's: saved under a name (RFC 6266), or shown in place without any power."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    disposition = content_disposition_header(not in_place, filename)
    response["Content-Disposition"] = disposition or ("inline" if in_place else "attachment")
    return private(response)


def private(response: HttpResponse) -> HttpResponse:
    """For this person's browser, and as nothing but what it says it is."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "private, max-age=1800")
    return response


# What stands where a picture cannot be shown: ours, without a script, and shown as a picture only.
NO_PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120" fill="none" stroke="#8a8f98" stroke-width="3" '
    b'stroke-linecap="round" stroke-linejoin="round"><rect x="52" y="36" width="56" height="48" rx="6"/>'
    b'<path d="M52 74l16-16 14 14M108 70l-12-10-8 7M46 90l68-60"/><circle cx="92" cy="50" r="4"/></svg>'
)


def no_picture(*, is_final: bool = True) -> HttpResponse:
    """A drawing of ours in a picture's place; asked for again next time, unless it is `is_final`."""
    response = HttpResponse(NO_PICTURE, content_type="image/svg+xml")
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if not is_final:
        response["Cache-Control"] = "no-store"
    return private(response)


def unreadable(message: Message, error: BlobError) -> HttpResponse:
    """The store is away, or has lost it: told, and nothing more."""
    log.warning("content_not_readable", message_id=str(message.pk), error=type(error).__name__)
    response = HttpResponse(status=503, content_type="text/plain; charset=utf-8")
    response.write("The store does not answer right now. Nothing is lost; please try again in a minute.\n")
    response["Content-Security-Policy"] = (
        f"default-src 'none'; frame-ancestors {settings.WEB_ORIGIN}; sandbox"
    )
    response["Retry-After"] = "30"
    return response
