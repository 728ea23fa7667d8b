"""Erasing a customer's data: the form, and a line for each that was. For admins."""

from dataclasses import dataclass
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from apps.accounts.principal import Principal
from apps.erasure.errors import ErasureInvalid
from apps.erasure.models import Erasure
from apps.erasure.services import erasures_for, request_erasure
from apps.webmail.access import for_people
from apps.webmail.shell import show_page

SHOWN_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """A line, with what went in words."""

    erasure: Erasure
    told: str


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def erasures(request: HttpRequest, principal: Principal) -> HttpResponse:
    """The list; a POST asks for one more."""
    if request.method != "POST":
        return _page(request, principal)
    address = request.POST.get("address", "")
    try:
        request_erasure(
            principal, address, confirmation=request.POST.get("confirmation", ""), now=timezone.now()
        )
    except ErasureInvalid as error:
        return _page(request, principal, wrong={error.field: error.reason}, address=address)
    return redirect("webmail:erasures")


def _page(
    request: HttpRequest, principal: Principal, *, wrong: dict[str, str] | None = None, address: str = ""
) -> HttpResponse:
    rows = [ErasureRow(one, _told(one.counts)) for one in erasures_for(principal)[:SHOWN_AT_ONCE]]
    status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK
    return show_page(
        request, principal, "erasures", status=status, rows=rows, wrong=wrong or {}, address=address
    )


def _told(counts: dict[str, int]) -> str:
    """What went, in words, as far as a person would ask."""
    words = [
        (counts.get("messages", 0), ngettext("%(n)s message", "%(n)s messages", counts.get("messages", 0))),
        (counts.get("files", 0), ngettext("%(n)s file", "%(n)s files", counts.get("files", 0))),
        (counts.get("held", 0), ngettext("%(n)s held mail", "%(n)s held mails", counts.get("held", 0))),
        (
            counts.get("refused", 0),
            ngettext("%(n)s refused submission", "%(n)s refused submissions", counts.get("refused", 0)),
        ),
        (counts.get("tickets", 0), ngettext("%(n)s ticket", "%(n)s tickets", counts.get("tickets", 0))),
        (
            counts.get("rewritten_messages", 0),
            ngettext(
                "%(n)s message of others rewritten",
                "%(n)s messages of others rewritten",
                counts.get("rewritten_messages", 0),
            ),
        ),
    ]
    return ", ".join(word % {"n": n} for n, word in words if n)
