"""Drafts: what is kept while one writes, their list, and their files on the way up.

Files come in pieces, much as in tus 1.0: POST says what is to come, PATCH brings bytes from `Upload-Offset` on, HEAD
asks how far it got, and 409 says it unasked.
"""

import json
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox
from apps.mailboxes.selectors import mailbox_for, visible_mailboxes
from apps.webmail.access import for_people
from apps.webmail.drafts import draft_told, draft_url, file_told, thread_of
from apps.webmail.shell import show_page
from apps.writing.completion import complete
from apps.writing.drafts import Typed, discard_draft, draft_for, open_drafts, reopen_draft, save_draft
from apps.writing.errors import PieceMisplaced, WritingInvalid
from apps.writing.files import append_piece, begin_file, content_of, file_of, finish_file, remove_file
from apps.writing.models import Draft, DraftFile

SHOWN = 200
MAX_EDITOR_CHARS = 64


@require_safe
@for_people
def drafts(request: HttpRequest, principal: Principal) -> HttpResponse:
    """The person's own, newest first."""
    rows = list(open_drafts(principal).select_related("mailbox", "thread").prefetch_related("files")[:SHOWN])
    return show_page(request, principal, "drafts", rows=[(row, draft_url(row)) for row in rows])


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def draft(request: HttpRequest, principal: Principal, draft_id: uuid.UUID) -> HttpResponse:
    """One draft as the composer reads it; POST saves it, and makes it where there is none."""
    if request.method != "POST":
        return JsonResponse(draft_told(draft_for(principal, draft_id)))
    if Draft.objects.filter(pk=draft_id).exists():
        draft_for(principal, draft_id)
    typed = _json(request)
    mailbox = _mailbox_of(principal, typed)
    saved = save_draft(
        principal,
        draft_id,
        Typed(
            fields=_texts(typed.get("fields")),
            document=typed.get("document"),
            version=_count(typed.get("version")),
            editor=str(typed.get("editor") or "")[:MAX_EDITOR_CHARS],
            turn=_count(typed.get("turn")),
        ),
        mailbox=mailbox,
        thread_id=thread_of(principal, mailbox, str(typed.get("thread") or "")),
        now=timezone.now(),
    )
    told: dict[str, Any] = {"id": str(saved.draft.pk), "version": saved.draft.version}
    if saved.beside is None:
        return JsonResponse(told)
    told |= {"draft": draft_told(saved.draft), "beside": draft_told(saved.beside)}
    return JsonResponse(told | {"beside_state": saved.beside.state})


@require_POST
@for_people
def discard(request: HttpRequest, principal: Principal, draft_id: uuid.UUID) -> HttpResponse:
    row = draft_for(principal, draft_id)
    discard_draft(principal, row, timezone.now())
    undo = reverse("webmail:restore-draft", kwargs={"draft_id": row.pk})
    return JsonResponse({"undo_url": undo})


@require_POST
@for_people
def restore(request: HttpRequest, principal: Principal, draft_id: uuid.UUID) -> HttpResponse:
    row = draft_for(principal, draft_id)
    reopen_draft(principal, row, timezone.now())
    row.refresh_from_db()
    return JsonResponse({"draft": draft_told(row)})


@require_POST
@for_people
def add_file(request: HttpRequest, principal: Principal, draft_id: uuid.UUID) -> HttpResponse:
    """A file that is about to come: its id, name, type, size, and whether it is a picture of the text."""
    row = draft_for(principal, draft_id)
    asked = _json(request)
    try:
        file_id = uuid.UUID(str(asked.get("id")))
    except ValueError as error:
        raise WritingInvalid("files", "A file needs an id.") from error
    file = begin_file(
        row,
        file_id,
        filename=str(asked.get("filename") or "")[:1000],
        content_type=str(asked.get("content_type") or "")[:255],
        size_bytes=_count(asked.get("size_bytes")),
        content_id=f"{file_id.hex}@{row.mailbox.address.rpartition('@')[2]}" if asked.get("inline") else "",
        now=timezone.now(),
    )
    return JsonResponse(file_told(file), status=201)


@require_http_methods(["GET", "HEAD", "PATCH", "DELETE"])
@for_people
def draft_file(
    request: HttpRequest, principal: Principal, draft_id: uuid.UUID, file_id: uuid.UUID
) -> HttpResponse:
    row = draft_for(principal, draft_id)
    file = file_of(row, file_id)
    match request.method:
        case "DELETE":
            remove_file(file)
            return JsonResponse({})
        case "PATCH":
            return _append(request, file)
        case "HEAD":
            return _so_far(HttpResponse(), finish_file(file).received_bytes)
        case "GET":
            return _bytes_of(request, file)
    return HttpResponseNotAllowed(["GET", "HEAD", "PATCH", "DELETE"])


def _append(request: HttpRequest, file: DraftFile) -> HttpResponse:
    offset = request.headers.get("Upload-Offset", "")
    if not offset.isdecimal() or len(offset) > 12:
        raise WritingInvalid("files", "Upload-Offset is a number of bytes.")
    try:
        file = append_piece(file, int(offset), request.body)
    except PieceMisplaced as error:
        return _so_far(
            JsonResponse({"received_bytes": error.received_bytes}, status=409), error.received_bytes
        )
    return _so_far(JsonResponse(file_told(file)), file.received_bytes)


def _so_far(response: HttpResponse, received_bytes: int) -> HttpResponse:
    response["Upload-Offset"] = str(received_bytes)
    return response


def _bytes_of(request: HttpRequest, file: DraftFile) -> HttpResponse:
    """For the editor, which shows a picture from memory: this origin never serves a file that a browser would run."""
    if request.headers.get("Sec-Fetch-Dest", "empty") != "empty":
        raise NotVisible(str(file.pk))
    response = HttpResponse(content_of(file), content_type="application/octet-stream")
    response["Content-Disposition"] = "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@require_GET
@for_people
def recipients(request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID) -> HttpResponse:
    """Whom one may mean by what was typed into To."""
    mailbox = mailbox_for(principal, mailbox_id)
    found = complete(principal, mailbox, request.GET.get("q", ""))
    told = [{"name": one.name, "address": one.address, "inside": one.is_inside} for one in found]
    return JsonResponse({"people": told})


def _json(request: HttpRequest) -> dict[str, Any]:
    """Raises WritingInvalid."""
    try:
        read = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise WritingInvalid("", "This is no JSON.") from error
    if not isinstance(read, dict):
        raise WritingInvalid("", "A JSON object is wanted.")
    return read


def _texts(value: Any) -> dict[str, str]:
    given = value if isinstance(value, dict) else {}
    return {str(name): text for name, text in given.items() if isinstance(text, str)}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0


def _mailbox_of(principal: Principal, typed: dict[str, Any]) -> Mailbox:
    """Where an answer is written, or whose address stands in From. Raises NotVisible and WritingInvalid."""
    if typed.get("mailbox"):
        return mailbox_for(principal, str(typed["mailbox"]))
    sender = _texts(typed.get("fields")).get("from", "")
    mailbox = (
        visible_mailboxes(principal).filter(address=sender).first() or visible_mailboxes(principal).first()
    )
    if mailbox is None:
        raise WritingInvalid("from", "Nobody has given you a mailbox.")
    return mailbox
