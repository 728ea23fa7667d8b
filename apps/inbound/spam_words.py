"""The clues of a spam filter in words that mean something to people."""

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from apps.mime.clean import clean_line

TOLD = 3
# What says most to a reader first; one of each kind is told, for a mail's twenty loudest are often the same few words.
_WORDS: dict[str, str | Promise] = {
    "word": lazy("“%(what)s”"),
    "subject": lazy("“%(what)s” in the subject"),
    "link": lazy("a link to %(what)s"),
    "from-domain": lazy("a sender at %(what)s"),
    "pair": lazy("“%(what)s”"),
    "from-name": lazy("“%(what)s” in the sender's name"),
    "from": lazy("%(what)s as the sender"),
}
_NAMES = frozenset({"link", "from-domain"})


def told_clues(because: Sequence[tuple[str, float]]) -> str:
    """The loudest clues that are words, names or links; the others say nothing to a reader."""
    loudest: dict[str, str] = {}
    for clue, _share in because:
        kind, _colon, what = clue.partition(":")
        if what and kind in _WORDS and not (kind in _NAMES and "." not in what):
            loudest.setdefault(kind, clean_line(what, 60))
    told = [str(words) % {"what": loudest[kind]} for kind, words in _WORDS.items() if kind in loudest]
    return ", ".join(told[:TOLD]) or _("the way it is made")
