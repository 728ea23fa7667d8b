"""The page Keys, the switch in the help, and the places that the palette goes to."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.preferences import choose_keys, preferences_of, switch_single_keys
from apps.accounts.principal import Principal
from apps.mailboxes.models import Folder
from apps.mailboxes.selectors import visible_mailboxes
from apps.webmail.access import for_people
from apps.webmail.commands import BY_NAME, Command, in_groups, keys_of, read_keys
from apps.webmail.shell import show_page, team_first

FIELD = "key-"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def keys(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every command with its key, to be changed."""
    if request.method != "POST":
        return _page(request, principal, keys_of(preferences_of(principal)))
    typed = {
        name: command.key if "reset" in request.POST else request.POST.get(FIELD + name, command.key)
        for name, command in BY_NAME.items()
    }
    chosen, wrong = read_keys(typed)
    if wrong:
        return _page(request, principal, typed, wrong)
    choose_keys(principal, chosen)
    switch_single_keys(principal, on="single" in request.POST or "reset" in request.POST)
    messages.success(request, _("Saved. Your keys are the same in every browser you sign in with."))
    return HttpResponseRedirect(reverse("webmail:keys"))


@require_POST
@for_people
def switch(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Whether keys without Ctrl do anything."""
    switch_single_keys(principal, on=request.POST.get("on") == "1")
    return JsonResponse({})


@require_safe
@for_people
def places(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Every folder of every mailbox, for the palette. Its other places stand in the rail."""
    listed = [
        {
            "words": str(folder.label),
            "about": mailbox.name,
            "url": reverse("webmail:folder", kwargs={"mailbox_id": mailbox.pk, "folder": folder}),
        }
        for mailbox in team_first(visible_mailboxes(principal))
        for folder in Folder
    ]
    return JsonResponse({"places": listed})


def _page(
    request: HttpRequest, principal: Principal, shown: dict[str, str], wrong: dict[str, str] | None = None
) -> HttpResponse:
    def lines(commands: list[Command]) -> list[dict[str, object]]:
        return [
            {"command": one, "key": shown[one.name], "wrong": (wrong or {}).get(one.name, "")}
            for one in commands
        ]

    groups = [(group, lines(commands)) for group, commands in in_groups()]
    status = HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK
    return show_page(request, principal, "keys", status=status, groups=groups, has_wrong=bool(wrong))
