"""A message's body as the page shows it: HTML in a frame, or text in the page, or the reason why neither can be shown;
and what its reader chose about its pictures and its colours.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

import structlog
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.blobs.errors import BlobError
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import text_of
from apps.reading.choices import Look
from apps.webmail.content_tokens import ContentKind, content_url_for
from apps.webmail.plain_text import ShownText, show_text

log = structlog.get_logger(__name__)

# Upper bounds in bytes of HTML for the frame's estimated heights; see .paper in reading.css.
_FRAME_STEPS = (600, 2_000, 6_000, 16_000)
_NOTHING = {"pictures": 0, "trackers": 0}


@dataclass(frozen=True, slots=True)
class RemotePictures:
    """What a mail wants fetched from elsewhere. `pictures` is None where they were not counted when it came."""

    pictures: int | None
    trackers: int
    are_shown: bool
    is_trusted: bool

    @property
    def can_be_shown(self) -> bool:
        return self.pictures != 0


@dataclass(frozen=True, slots=True)
class Body:
    """HTML in a frame, or text in the page, or the reason why neither can be shown."""

    frame_url: str = ""
    frame_step: int = 1
    adapts_colours: bool = False
    remote: RemotePictures | None = None
    text: ShownText | None = None
    problem: str = ""


def body_of(principal: Principal, message: Message, look: Look, now: datetime) -> Body:
    """What stands in the page in the message's place. The body itself is read only where it is text."""
    size = message.html.size_bytes if message.html is not None else len(message.short_html)
    if size:
        url = content_url_for(principal, ContentKind.BODY, message, now)
        return Body(
            frame_url=url + frame_query(look),
            frame_step=1 + sum(size > bound for bound in _FRAME_STEPS),
            adapts_colours=look.adapts_colours,
            remote=_remote(message, look),
        )
    try:
        return Body(
            adapts_colours=look.adapts_colours,
            remote=_remote(message, look),
            text=show_text(text_of(message)),
        )
    except BlobError as error:
        # The rest of the conversation is still worth reading, so one text that is out of reach does not take it away.
        log.warning("text_not_readable", message_id=str(message.pk), error=type(error).__name__)
        return Body(
            problem=_("The text cannot be read right now. It is not lost; please try again in a minute.")
        )


def frame_query(look: Look) -> str:
    """How the frame is to look, as the content origin reads it."""
    asked = {"pictures": "shown"} if look.shows_pictures else {}
    asked |= {"colours": "adapted"} if look.adapts_colours else {}
    return f"?{urlencode(asked)}" if asked else ""


def _remote(message: Message, look: Look) -> RemotePictures | None:
    """Of the message and of those within it: they are asked for together. None where nothing is wanted."""
    own = message.contents.get("remote") if message.has_remote_images else _NOTHING
    counted = [one.get("remote", _NOTHING) for one in message.contents.get("enclosed", [])]
    trackers = sum(one["trackers"] for one in [*counted, own or _NOTHING])
    pictures = sum(one["pictures"] for one in [*counted, own or _NOTHING])
    if own is not None and not pictures and not trackers:
        return None
    return RemotePictures(
        pictures=None if own is None else pictures,
        trackers=trackers,
        are_shown=look.shows_pictures,
        is_trusted=look.is_trusted,
    )
