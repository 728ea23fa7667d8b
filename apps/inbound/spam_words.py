"""The clues of a spam filter in words that mean something to people."""

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from apps.mime.clean import clean_line

TOLD = 3
_WORDS: dict[str, str | Promise] = {
    "word": lazy("“%(what)s”"),
    "pair": lazy("“%(what)s”"),
    "subject": lazy("“%(what)s” in the subject"),
    "from": lazy("%(what)s as the sender"),
    "from-domain": lazy("a sender at %(what)s"),
    "from-name": lazy("“%(what)s” in the sender's name"),
    "link": lazy("a link to %(what)s"),
}


def told_clues(because: Sequence[tuple[str, float]]) -> str:
    """The loudest clues that are words, names or links; the others say nothing to a reader."""
    told = dict.fromkeys(filter(None, (_told(clue) for clue, _share in because)))
    return ", ".join(list(told)[:TOLD]) or _("the way it is made")


def _told(clue: str) -> str:
    kind, _colon, what = clue.partition(":")
    words = _WORDS.get(kind)
    return str(words) % {"what": clean_line(what, 60)} if words is not None and what else ""
