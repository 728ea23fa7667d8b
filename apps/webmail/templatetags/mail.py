"""What the templates say about mail: icons, moments, people, sizes."""

import zlib
from datetime import datetime, timedelta

from django import template
from django.template.defaultfilters import floatformat
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.mailboxes.conversations import ConversationRow
from apps.mime.clean import clean_line
from apps.mime.document import document_of
from apps.outbound.explanations import Explanation
from apps.outbound.models import DeliveryState
from apps.webmail.built_files import built_url
from apps.webmail.plain_text import link
from apps.writing.models import Signature

register = template.Library()
register.simple_tag(built_url, name="built")

HUES = 8


@register.simple_tag
def icon(name: str, tone: str = "") -> SafeString:
    """An icon of our sprite. Decoration: the word beside it, or its button's label, says what it means."""
    return format_html(
        '<svg class="i {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        tone,
        built_url("icons.svg"),
        name,
    )


@register.simple_tag
def truth_icon(told: Explanation) -> SafeString:
    """The icon of a delivery: `good`, `wait` or `bad`, each with a shape of its own beside its colour; and another one
    for what waits for a person's decision.
    """
    if told.state == DeliveryState.UNCERTAIN:
        return icon("triangle-alert", told.icon)
    shapes = {"good": "check-check", "wait": "clock", "bad": "circle-x"}
    return icon(shapes[told.icon], told.icon)


@register.filter
def signature_line(signature: object) -> str:
    """A signature in one line, for the composer's foot."""
    if not isinstance(signature, Signature):  # a template says "" for what there is none of
        return ""
    return clean_line(document_of(signature.document).text, 120)


@register.filter
def brief_ms(milliseconds: int) -> str:
    """Nothing takes no time at all."""
    return _("%(n)s ms") % {"n": milliseconds or "<\u202f1"}


@register.filter
def list_moment(moment: datetime) -> str:
    """As short as it can be said: the time today, the weekday this week, else the day."""
    local, today = timezone.localtime(moment), timezone.localdate()
    if local.date() == today:
        return date_format(local, "H:i")
    if today - timedelta(days=6) <= local.date() < today:
        return date_format(local, "D")
    return date_format(local, "j M" if local.year == today.year else "j M Y")


@register.filter
def full_moment(moment: datetime | None) -> str:
    """ "" for no moment."""
    if moment is None:
        return ""
    local, today = timezone.localtime(moment), timezone.localdate()
    clock = date_format(local, "H:i")
    if local.date() == today:
        return _("Today %(time)s") % {"time": clock}
    if local.date() == today - timedelta(days=1):
        return _("Yesterday %(time)s") % {"time": clock}
    return f"{date_format(local, 'j M' if local.year == today.year else 'j M Y')}, {clock}"


@register.filter
def for_clock(moment: datetime | None) -> str:
    """As `<input type="datetime-local">` wants it: on the person's clock, without a zone."""
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M") if moment else ""


@register.filter
def number(count: int) -> str:
    """With thousands apart."""
    return f"{count:,}"


@register.filter
def clock_time(moment: datetime) -> str:
    """To the second on the person's clock, with the day unless it is today: for what changes while one looks."""
    local = timezone.localtime(moment)
    return date_format(local, "H:i:s" if local.date() == timezone.localdate() else "j M, H:i:s")


@register.filter
def hue(key: object) -> str:
    """The class of a person's colour, the same wherever they appear."""
    return f"hue-{zlib.crc32(str(key).lower().encode('utf-8', 'surrogatepass')) % HUES}"


@register.filter
def initials(name: str) -> str:
    words = [word for word in name.replace("@", " ").replace(".", " ").split() if word[:1].isalnum()]
    if not words:
        return "?"
    return (words[0][:1] + (words[1][:1] if len(words) > 1 else "")).upper()


@register.filter
def people(row: ConversationRow) -> str:
    return ", ".join(row.participants) or row.latest.sender_address or _("Unknown sender")


@register.filter
def duration(seconds: float | None) -> str:
    """A length of time in one unit, as one would say it."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    if whole < 120:
        return _("%(n)s s") % {"n": whole}
    if whole < 2 * 3600:
        return _("%(n)s min") % {"n": whole // 60}
    if whole < 48 * 3600:
        return _("%(n)s h") % {"n": whole // 3600}
    return _("%(n)s days") % {"n": whole // 86400}


@register.filter
def brief_seconds(seconds: float | None) -> str:
    """A short time with a tenth; a dash where nothing was measured."""
    if seconds is None:
        return "–"
    return duration(seconds) if seconds >= 100 else _("%(n)s s") % {"n": floatformat(seconds, 1)}


register.filter("linked", link)
