"""What the content origin serves: mail bodies, messages within messages, pictures, attachments, originals. No cookies,
no scripts.

Every request carries a token instead of a session. Whatever is wrong with it, and whatever its person may not see (any
more), the answer is 404. The headers assume that the bytes are hostile.
"""

import structlog
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import escape
from django.utils.http import content_disposition_header
from django.utils.translation import get_language
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.blobs import selectors as blobs
from apps.blobs.errors import BlobError
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message, Part
from apps.mailboxes.selectors import html_of, message_for
from apps.mime.bounded import default_parser
from apps.mime.clean import clean_filename
from apps.mime.html import resolve_cids
from apps.outbound.signing.sending import raw_as_sent
from apps.webmail.content_tokens import ContentClaim, ContentKind, TokenInvalid, content_url, read_token
from apps.webmail.mail_frame import frame_document

log = structlog.get_logger(__name__)

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

# Types that a browser may be told of on download. Everything else is bytes: a type that could be run or rendered in
# place must never leave here, whatever the mail claims.
SAFE_TYPES = PICTURES | frozenset(
    {"application/pdf", "application/zip", "text/plain", "text/csv", "message/rfc822"}
)


@require_safe
def go_to_pages(request: HttpRequest) -> HttpResponse:
    """Somebody typed the content origin's address by hand; the pages are next door."""
    return HttpResponseRedirect(f"{settings.WEB_ORIGIN}/")


@require_safe
@xframe_options_exempt
def body(request: HttpRequest, token: str) -> HttpResponse:
    """A mail's HTML for its frame, and for nothing but a frame."""
    if request.headers.get("Sec-Fetch-Dest", "iframe") != "iframe":
        raise Http404
    claim, message = _opened(ContentKind.BODY, token)
    try:
        sanitised = resolve_cids(html_of(message), _picture_urls(claim, message))
    except BlobError as error:
        return _unreadable(message, error)
    return _framed(request, sanitised)


@require_safe
@xframe_options_exempt
def enclosed(request: HttpRequest, token: str) -> HttpResponse:
    """The body of a message within the message, read anew from its part: few are ever opened."""
    if request.headers.get("Sec-Fetch-Dest", "iframe") != "iframe":
        raise Http404
    claim, message = _opened(ContentKind.ENCLOSED, token)
    part = _part(message, claim.n)
    if all(one["n"] != part.n for one in message.contents.get("enclosed", [])):
        raise Http404
    try:
        parsed = default_parser().parse(blobs.read(part.blob))
    except BlobError as error:
        return _unreadable(message, error)
    html = parsed.html or f'<div style="white-space: pre-wrap">{escape(parsed.text)}</div>'
    return _framed(request, resolve_cids(html, _picture_urls(claim, message, within=part.n)))


def _framed(request: HttpRequest, sanitised: str) -> HttpResponse:
    document = frame_document(
        sanitised,
        quotes_shown=request.GET.get("quotes") == "shown",
        language=get_language() or settings.LANGUAGE_CODE,
        page_origin=settings.WEB_ORIGIN,
    )
    response = HttpResponse(document)
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"img-src {settings.CONTENT_ORIGIN} data:; "
        f"form-action 'none'; base-uri 'none'; frame-ancestors {settings.WEB_ORIGIN}; "
        "sandbox allow-popups allow-popups-to-escape-sandbox"
    )
    return _private(response)


@require_safe
def inline(request: HttpRequest, token: str) -> HttpResponse:
    """A picture that the body shows by its Content-ID. Only pictures are ever shown in place."""
    claim, message = _opened(ContentKind.INLINE, token)
    part = _part(message, claim.n)
    if part.content_type not in PICTURES:
        raise Http404
    return _bytes(message, part, disposition="inline")


@require_safe
def attachment(request: HttpRequest, token: str) -> HttpResponse:
    claim, message = _opened(ContentKind.ATTACHMENT, token)
    return _bytes(message, _part(message, claim.n), disposition="attachment")


@require_safe
def original(request: HttpRequest, token: str) -> HttpResponse:
    """The message as it came or was sent, byte for byte."""
    claim, message = _opened(ContentKind.ORIGINAL, token)
    reader = Principal.of_user(User.objects.get(pk=claim.user_id))
    try:
        content = raw_as_sent(reader, message)
    except BlobError as error:
        return _unreadable(message, error)
    name = f"{clean_filename(message.subject)[:80] or 'message'}.eml"
    return _sandboxed(content, "message/rfc822", content_disposition_header(True, name))  # noqa: FBT003 - Django's own


def _opened(kind: ContentKind, token: str) -> tuple[ContentClaim, Message]:
    try:
        claim = read_token(kind, token, timezone.now())
        user = User.objects.get(pk=claim.user_id, is_active=True)
        return claim, message_for(Principal.of_user(user), claim.message_id)
    except (TokenInvalid, User.DoesNotExist, NotVisible) as error:
        raise Http404 from error


def _part(message: Message, n: int) -> Part:
    part = next((part for part in message.parts.all() if part.n == n), None)
    if part is None:
        raise Http404
    return part


def _picture_urls(claim: ContentClaim, message: Message, *, within: int | None = None) -> dict[str, str]:
    """Where the pictures are that a body shows; for that of an enclosed message, those within it."""
    now = timezone.now()
    return {
        part.content_id: content_url(ContentKind.INLINE, ContentClaim(message.pk, claim.user_id, part.n), now)
        for part in message.parts.all()
        if part.content_id and part.content_type in PICTURES and within in {None, part.within}
    }


def _bytes(message: Message, part: Part, *, disposition: str) -> HttpResponse:
    try:
        content = blobs.read(part.blob)
    except BlobError as error:
        return _unreadable(message, error)
    content_type = part.content_type if part.content_type in SAFE_TYPES else "application/octet-stream"
    header = content_disposition_header(disposition == "attachment", part.filename)
    return _sandboxed(content, content_type, header)


def _sandboxed(content: bytes, content_type: str, disposition: str | None) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Content-Disposition"] = disposition or "attachment"
    return _private(response)


def _private(response: HttpResponse) -> HttpResponse:
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, max-age=1800"
    return response


def _unreadable(message: Message, error: BlobError) -> HttpResponse:
    log.warning("content_not_readable", message_id=str(message.pk), error=type(error).__name__)
    response = HttpResponse(status=503, content_type="text/plain; charset=utf-8")
    response.write("The store does not answer right now. Nothing is lost; please try again in a minute.\n")
    response["Content-Security-Policy"] = (
        f"default-src 'none'; frame-ancestors {settings.WEB_ORIGIN}; sandbox"
    )
    response["Retry-After"] = "30"
    return response
