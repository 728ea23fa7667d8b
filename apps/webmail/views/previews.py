"""A file of a message, looked at in a dialog: what is shown of it, and which file comes before and after."""

import uuid
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from apps.accounts.principal import Principal
from apps.mailboxes.attachments import files_of, warning_of
from apps.mailboxes.models import Part
from apps.mailboxes.selectors import message_for
from apps.reading.errors import NothingToSee, NotNow
from apps.reading.previews import (
    ArchiveSeen,
    PreviewKind,
    TextSeen,
    page_count,
    preview_kind,
    see_archive,
    see_table,
    see_text,
)
from apps.webmail.access import for_people
from apps.webmail.content_tokens import ContentKind, content_url_for

_WHY_NOT: dict[str, Promise] = {
    "locked": gettext_lazy("It is locked with a password. Save it to open it."),
    "took_too_long": gettext_lazy("It is too large or too tangled to be shown here. Save it to open it."),
    "too_many_pixels": gettext_lazy("It is too large to be shown here. Save it to open it."),
    "not_now": gettext_lazy("Others are being shown right now. Please try again in a moment."),
    "no_text": gettext_lazy("This is no text. Save it to open it."),
}
_DAMAGED = gettext_lazy(
    "It cannot be shown here: it is damaged, or of a kind of its own. Save it to open it."
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the dialog shows: one of these, or `problem` in words."""

    pages: range = range(0)
    text: TextSeen | None = None
    archive: ArchiveSeen | None = None
    problem: str = ""


@require_safe
@for_people
def preview(request: HttpRequest, principal: Principal, message_id: uuid.UUID, n: int) -> HttpResponse:
    message = message_for(principal, message_id)
    parts = [part for part in files_of(message) if preview_kind(part)]
    place = next((at for at, part in enumerate(parts) if part.n == n), None)
    if place is None:
        raise Http404
    part = parts[place]
    now = timezone.now()
    context = {
        "part": part,
        "kind": preview_kind(part),
        "warning": warning_of(part),
        "seen": _seen(part),
        "before": parts[place - 1] if place else None,
        "after": parts[place + 1] if place + 1 < len(parts) else None,
        "place": place + 1,
        "count": len(parts),
        "file_url": content_url_for(principal, ContentKind.ATTACHMENT, message, now, n),
        "picture_url": content_url_for(principal, ContentKind.INLINE, message, now, n),
        "page_url": content_url_for(principal, ContentKind.PAGE, message, now, n),
    }
    return render(request, "webmail/preview.html", context)


def _seen(part: Part) -> Seen:
    try:
        return _look(part)
    except NothingToSee as nothing:
        return Seen(problem=str(_WHY_NOT.get(nothing.code, _DAMAGED)))
    except NotNow:
        return Seen(problem=str(_WHY_NOT["not_now"]))


def _look(part: Part) -> Seen:
    match preview_kind(part):
        case PreviewKind.PDF:
            return Seen(pages=range(1, page_count(part) + 1))
        case PreviewKind.TEXT:
            return Seen(text=see_text(part))
        case PreviewKind.TABLE:
            return Seen(text=see_table(part))
        case PreviewKind.ARCHIVE:
            return Seen(archive=see_archive(part))
        case _:
            return Seen()
