"""What the content origin serves: bodies, messages within messages, originals; files and pictures are in files.py.
No cookies, no scripts.

See content_answers.py for tokens and headers.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import get_language
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.blobs.errors import BlobError
from apps.blobs.selectors import read
from apps.mailboxes.attachments import picture_type
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import html_of
from apps.mime.bounded import default_parser
from apps.mime.clean import clean_filename
from apps.mime.html import resolve_cids
from apps.mime.remote_images import show_remote
from apps.outbound.signing.sending import raw_as_sent
from apps.reading.errors import NothingToSee, NotNow
from apps.reading.remote_pictures import picture_at
from apps.webmail.content_answers import (
    message_of,
    no_picture,
    opened,
    part_of,
    private,
    sandboxed,
    unreadable,
)
from apps.webmail.content_tokens import (
    ContentClaim,
    ContentKind,
    TokenInvalid,
    content_url,
    read_remote_token,
    remote_url,
)
from apps.webmail.mail_frame import FrameLook, frame_document
from apps.webmail.waiting import WaitsFor, begun, must_wait

MAX_VIEWED_BYTES = 2 * 1024 * 1024


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
    claim, message = opened(ContentKind.BODY, token)
    try:
        sanitised = resolve_cids(html_of(message), picture_urls(claim, message))
    except BlobError as error:
        return unreadable(message, error)
    return _framed(request, claim, sanitised)


@require_safe
@xframe_options_exempt
def enclosed(request: HttpRequest, token: str) -> HttpResponse:
    """The body of a message within the message, read anew from its part: few are ever opened."""
    if request.headers.get("Sec-Fetch-Dest", "iframe") != "iframe":
        raise Http404
    claim, message = opened(ContentKind.ENCLOSED, token)
    part = part_of(message, claim.n)
    if all(one["n"] != part.n for one in message.contents.get("enclosed", [])):
        raise Http404
    try:
        parsed = default_parser().parse(read(part.blob))
    except BlobError as error:
        return unreadable(message, error)
    html = parsed.html or f'<div style="white-space: pre-wrap">{escape(parsed.text)}</div>'
    return _framed(request, claim, resolve_cids(html, picture_urls(claim, message, within=part.n)))


def _framed(request: HttpRequest, claim: ContentClaim, sanitised: str) -> HttpResponse:
    if request.GET.get("pictures") == "shown":
        sanitised = show_remote(sanitised, proxied(claim))
    document = frame_document(
        sanitised,
        FrameLook.of_query(request.GET),
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
    return private(response)


@require_safe
def original(request: HttpRequest, token: str) -> HttpResponse:
    """The message as it came or was sent, byte for byte; with `?view=text`, its beginning to be read in place."""
    claim, message = opened(ContentKind.ORIGINAL, token)
    reader = Principal.of_user(User.objects.get(pk=claim.user_id))
    try:
        content = raw_as_sent(reader, message)
    except BlobError as error:
        return unreadable(message, error)
    if request.GET.get("view") == "text":
        shown = content[:MAX_VIEWED_BYTES]
        return sandboxed(shown, "text/plain; charset=utf-8", filename="message.txt", in_place=True)
    name = f"{clean_filename(message.subject)[:80] or 'message'}.eml"
    return sandboxed(content, "message/rfc822", filename=name)


def proxied(claim: ContentClaim) -> Callable[[str], str]:
    """Makes the proxy's address of a picture elsewhere."""
    now = timezone.now()
    return lambda url: remote_url(claim, url, now)


@require_safe
def remote(request: HttpRequest, token: str) -> HttpResponse:
    """A picture from elsewhere, which a mail shows and its reader asked to see: fetched and drawn anew by us."""
    if request.headers.get("Sec-Fetch-Dest", "image") != "image":
        raise Http404
    try:
        claim, url = read_remote_token(token, timezone.now())
    except TokenInvalid as error:
        raise Http404 from error
    message = message_of(claim)
    coming = begun(request, lambda: picture_at(message.organisation_id, message.pk, url))
    if must_wait(request, coming):
        return WaitsFor(coming)
    try:
        picture = coming.result(timeout=0)
    except NothingToSee:
        return no_picture()
    except (NotNow, CancelledError, TimeoutError):
        return no_picture(is_final=False)
    return sandboxed(picture, "image/webp", filename="picture.webp", in_place=True)


def picture_urls(claim: ContentClaim, message: Message, *, within: int | None = None) -> dict[str, str]:
    """Where the pictures are that a body shows; for that of an enclosed message, those within it."""
    now = timezone.now()
    return {
        part.content_id: content_url(ContentKind.INLINE, ContentClaim(message.pk, claim.user_id, part.n), now)
        # Backwards, so that of two with one Content-ID the first counts: the message's own stand before those within.
        for part in reversed(message.parts.all())
        if part.content_id and picture_type(part) and within in {None, part.within}
    }
