"""What goes to paper, and what stands behind a mail: a message or a conversation as one document, and a mail's head.

Mail's HTML never stands on the pages' origin, so what is printed is a document of the content origin, without a script
like every one that holds mail. To print it at one press, the page opens a frame of ours (`?now`) that holds nothing but
that document and one line of script, which asks the browser to print it. Opened by itself it is printed by Ctrl+P.

Limits: of a long conversation the newest `MAX_PRINTED` messages. Messages within them are read for
`WITHIN_SECONDS` in all; of those that come later the beginning is printed, which is kept.
"""

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.blobs.errors import BlobError
from apps.blobs.selectors import read
from apps.mailboxes.attachments import files_of
from apps.mailboxes.conversations import conversation, outline
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Message, Part
from apps.mailboxes.selectors import bodies_of, mailbox_for, message_for
from apps.mime.bounded import default_parser
from apps.mime.clean import clean_text
from apps.mime.html import resolve_cids
from apps.mime.remote_images import show_remote
from apps.outbound.signing.sending import raw_as_sent
from apps.reading.choices import Look, looks_at
from apps.webmail.access import for_people
from apps.webmail.content_answers import opened, private, unreadable
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url_for
from apps.webmail.mail_frame import mark_links
from apps.webmail.plain_text import MAX_SHOWN_CHARS, link
from apps.webmail.views.content import picture_urls, proxied

MAX_PRINTED = 200
MAX_HEAD_BYTES = 256 * 1024
WITHIN_SECONDS = 10.0
INDENT_PX = 20
MAX_INDENTS = 8


@dataclass(frozen=True, slots=True)
class PrintedBody:
    """Escaped or sanitised; one of the two."""

    html: SafeString | None = None
    text: SafeString | None = None


@dataclass(frozen=True, slots=True)
class PrintedWithin:
    """A message within a message. `is_cut`: only its beginning."""

    told: dict[str, Any]
    at: datetime | None
    indent_px: int
    body: PrintedBody
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Printed:
    """A message on paper."""

    message: Message
    body: PrintedBody
    files: list[Part] = field(default_factory=list)
    within: list[PrintedWithin] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Paper:
    """How a message is printed: with which pictures, for whom, and `until` when what is within it is read."""

    look: Look
    user_id: uuid.UUID
    until: float


@require_safe
@for_people
def print_conversation(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, thread_id: uuid.UUID
) -> HttpResponse:
    """On to the document of a conversation, or of its `?message=`, by a signed address; or that address in JSON."""
    mailbox = mailbox_for(principal, mailbox_id)
    outlined = outline(mailbox, thread_id)
    if not outlined:
        raise NotVisible(str(thread_id))
    message = message_for(principal, request.GET.get("message", outlined[-1].message_id))
    url = content_url_for(principal, ContentKind.PRINT, message, timezone.now())
    if "message" not in request.GET:
        url += f"?mailbox={mailbox.pk}"
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"url": url})
    return HttpResponseRedirect(url)


@require_safe
@xframe_options_exempt
def printed(request: HttpRequest, token: str) -> HttpResponse:
    """One message; with `?mailbox=`, its whole conversation in that mailbox. `?now`: a frame that prints it."""
    is_framed = "now" in request.GET or "framed" in request.GET
    place = "iframe" if is_framed else "document"
    # Browsers do not tell over plain http (elsewhere than on localhost).
    if request.headers.get("Sec-Fetch-Dest", place) != place:
        raise Http404
    claim, message = opened(ContentKind.PRINT, token)
    if "now" in request.GET:
        return _printing(request)
    principal = Principal.of_user(User.objects.get(pk=claim.user_id))
    messages = [message]
    if "mailbox" in request.GET:
        messages = _conversation(principal, request.GET["mailbox"], message)
    looks = looks_at(principal, messages)
    until = monotonic() + WITHIN_SECONDS
    try:
        bodies = bodies_of(messages)
        on_paper = [
            _printed(one, bodies[one.pk], Paper(looks.get(one.pk, Look()), claim.user_id, until))
            for one in messages
        ]
    except BlobError as error:
        return unreadable(message, error)
    document = render_to_string(
        "webmail/content/print.html",
        {
            "language": get_language() or settings.LANGUAGE_CODE,
            "subject": messages[0].subject,
            "printed": on_paper,
        },
    )
    response = HttpResponse(document)
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"img-src {settings.CONTENT_ORIGIN} data:; "
        f"form-action 'none'; base-uri 'none'; frame-ancestors {_around(is_framed=is_framed)}; "
        "sandbox allow-popups allow-popups-to-escape-sandbox allow-modals"
        # Without a script it gains nothing by being of our origin; the frame around it may print it.
        f"{' allow-same-origin' if is_framed else ''}"
    )
    return private(response)


def _around(*, is_framed: bool) -> str:
    return f"{settings.WEB_ORIGIN} {settings.CONTENT_ORIGIN}" if is_framed else "'none'"


def _printing(request: HttpRequest) -> HttpResponse:
    """Ours alone: no mail is in it but by its frame."""
    query = request.GET.copy()
    del query["now"]
    query["framed"] = ""
    nonce = secrets.token_urlsafe(16)
    response = HttpResponse(
        render_to_string("webmail/content/printing.html", {"query": query.urlencode(), "nonce": nonce})
    )
    response["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; frame-src {settings.CONTENT_ORIGIN}; "
        f"form-action 'none'; base-uri 'none'; frame-ancestors {settings.WEB_ORIGIN}"
    )
    response["Cache-Control"] = "no-store"
    return private(response)


def _conversation(principal: Principal, mailbox_id: str, message: Message) -> list[Message]:
    try:
        mailbox = mailbox_for(principal, mailbox_id)
    except NotVisible as error:
        raise Http404 from error
    ids = {one.message_id for one in outline(mailbox, message.thread_id)[-MAX_PRINTED:]}
    if message.pk not in ids:
        raise Http404
    return conversation(principal, mailbox, message.thread_id, ids)


def _printed(message: Message, body: tuple[str, str], paper: Paper) -> Printed:
    text, html = body
    within = list(_within(message, paper))
    return Printed(message, _body(message, text, html, paper), files_of(message), within)


def _within(message: Message, paper: Paper) -> Iterator[PrintedWithin]:
    """The messages within a message, in its order; one within another stands further in."""
    parts = {part.n: part for part in message.parts.all()}
    depths: dict[int, int] = {}
    for told in message.contents.get("enclosed", []):
        part = parts[told["n"]]
        depths[part.n] = depths.get(part.within, 0) + 1
        left = paper.until - monotonic()
        if left > 0:
            parsed = default_parser().parse(read(part.blob), timeout_seconds=left)
            body = _body(message, parsed.text, parsed.html, paper, within=part.n)
        else:
            body = PrintedBody(text=link(told["snippet"]))
        at = datetime.fromisoformat(told["date"]) if told["date"] else None
        indent_px = INDENT_PX * min(depths[part.n], MAX_INDENTS)
        yield PrintedWithin(told, at, indent_px, body, is_cut=left <= 0)


def _body(message: Message, text: str, html: str, paper: Paper, *, within: int | None = None) -> PrintedBody:
    if not html:
        return PrintedBody(text=link(text[:MAX_SHOWN_CHARS].strip("\n")))
    claim = ContentClaim(message.pk, paper.user_id)
    shown = resolve_cids(html, picture_urls(claim, message, within=within))
    if paper.look.shows_pictures:
        shown = show_remote(shown, proxied(claim))
    # From the sanitiser; what was added is escaped.
    return PrintedBody(html=mark_safe(mark_links(shown)))  # noqa: S308


@require_safe
@for_people
def head(request: HttpRequest, principal: Principal, message_id: uuid.UUID) -> HttpResponse:
    """Every field of a mail's head, as it was written."""
    message = message_for(principal, message_id)
    raw = raw_as_sent(principal, message)[:MAX_HEAD_BYTES]
    context = {
        "message": message,
        "fields": _fields(raw),
        "original_url": content_url_for(principal, ContentKind.ORIGINAL, message, timezone.now()),
    }
    return render(request, "webmail/head.html", context)


def _fields(raw: bytes) -> list[tuple[str, str]]:
    """(name, value) of each field, unfolded (RFC 5322 §2.2.3), up to the first empty line."""
    fields: list[tuple[str, str]] = []
    for line in raw.replace(b"\r\n", b"\n").split(b"\n"):
        if not line:
            break
        text = clean_text(line.decode("utf-8", "replace"))
        if text[:1] in {" ", "\t"} and fields:
            fields[-1] = (fields[-1][0], f"{fields[-1][1]} {text.strip()}")
        else:
            name, _colon, value = text.partition(":")
            fields.append((name, value.strip()))
    return fields
