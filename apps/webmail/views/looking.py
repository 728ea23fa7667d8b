"""How a person looks at one message: its pictures from elsewhere, its colours."""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.principal import Principal
from apps.mailboxes.models import Mailbox, Message
from apps.mailboxes.selectors import mailbox_for, message_for
from apps.reading.choices import adapt_colours, distrust_pictures, show_pictures, trust_pictures
from apps.webmail.access import for_people
from apps.webmail.reading import show_message


@require_POST
@for_people
def look(
    request: HttpRequest, principal: Principal, mailbox_id: uuid.UUID, message_id: uuid.UUID
) -> HttpResponse:
    """Choose; the answer has the message's body anew."""
    mailbox, message = mailbox_for(principal, mailbox_id), message_for(principal, message_id)
    sentence = ""
    match request.POST.get("pictures", ""), request.POST.get("colours", ""):
        case ("shown", _any):
            show_pictures(principal, message)
        case ("always", _any):
            trust_pictures(principal, message)
            sentence = _pictures_of(message, _("Pictures of %(sender)s will be shown from now on"))
        case ("asked", _any):
            distrust_pictures(principal, message)
            sentence = _pictures_of(message, _("Pictures of %(sender)s are shown only when you ask"))
        case (_any, ("adapted" | "own") as colours):
            adapt_colours(principal, message, adapted=colours == "adapted")
        case _any:
            return JsonResponse({"detail": _("Nothing was chosen.")}, status=422)
    return JsonResponse({"sentence": sentence, "html": body_html(principal, mailbox, message)})


def body_html(principal: Principal, mailbox: Mailbox, message: Message) -> str:
    """The message's body as it is now, for the page to put in its place."""
    shown = show_message(principal, mailbox, message, timezone.now())
    return render_to_string("webmail/body.html", {"shown": shown, "mailbox": mailbox})


def _pictures_of(message: Message, sentence: str) -> str:
    return sentence % {"sender": message.sender_address}
