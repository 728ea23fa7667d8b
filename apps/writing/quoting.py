"""What an answer quotes of the message it answers: below the answer, and never in the editor.

The text part quotes with `> ` (RFC 3676 §4.5), the HTML part with `blockquote type="cite"`, which every reader knows to
fold. The attribution stands before both, in the words that `mime.attributions` knows too: what we quote, we fold again
when it comes back.

Limits: pictures of the quoted mail are named and not sent again; of a mail beyond `MAX_QUOTED_CHARS` the text is quoted
up to there, and no HTML. What the quoted mail quotes itself goes along, as its sender sent it.
"""

import html as entities
import re
from dataclasses import dataclass

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.mailboxes.models import Message
from apps.mailboxes.selectors import html_of, text_of
from apps.mime.clean import clean_line
from apps.mime.document import QUOTED

MAX_QUOTED_CHARS = 200_000

# Over our own sanitised HTML, where every attribute is double-quoted.
_IMAGE = re.compile(r'<img((?: [a-z-]+="[^"]*")*)>')
_ALT = re.compile(r' alt="([^"]+)"')
_HELD_BACK = re.compile(r' data-remote-[a-z]+="[^"]*"')
_QUOTATION = re.compile(r'<blockquote((?: [a-z-]+="[^"]*")*)>')


@dataclass(frozen=True, slots=True)
class Quote:
    """Both parts of it, attribution and all."""

    attribution: str
    text: str
    html: str


def quote_of(message: Message) -> Quote:
    """Raises ObjectStoreUnavailable or BlobMissing. On the clock that is active."""
    line = attribution_of(message)
    text = text_of(message)[:MAX_QUOTED_CHARS].rstrip()
    quoted = "\n".join(
        f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in text.split("\n")
    )
    inner = _QUOTATION.sub(_cited, _without_pictures(html_of(message)))
    if not inner or len(inner) > MAX_QUOTED_CHARS:
        inner = entities.escape(text, quote=False).replace("\n", "<br>\n")
    html = (
        f'<div dir="auto">\n<p style="margin:16px 0 6px">{entities.escape(line, quote=False)}</p>\n'
        f'<blockquote type="cite" style="{QUOTED}">\n{inner}\n</blockquote>\n</div>\n'
    )
    return Quote(line, f"{line}\n{quoted}\n", html)


def attribution_of(message: Message) -> str:
    """ "On 3 November 2026 at 14:02, Elena Marsh <elena@customer.example> wrote:" """
    at = timezone.localtime(message.received_at)
    name, address = clean_line(message.sender_name, 200), message.sender_address
    who = f"{name} <{address}>" if name and address else name or address or _("somebody")
    told = _("On %(date)s at %(time)s, %(who)s wrote:")
    return told % {"date": date_format(at, "j F Y"), "time": date_format(at, "H:i"), "who": who}


def _without_pictures(sanitised: str) -> str:
    return _HELD_BACK.sub("", _IMAGE.sub(_named, sanitised))


def _named(image: re.Match[str]) -> str:
    alt = _ALT.search(image[1])
    return f"[{alt[1]}]" if alt else ""


def _cited(quotation: re.Match[str]) -> str:
    """Sanitising took away what it was; without a style of its own, each level would stand 40 px further in."""
    style = "" if " style=" in quotation[1] else f' style="{QUOTED}"'
    return f'<blockquote type="cite"{quotation[1]}{style}>'
