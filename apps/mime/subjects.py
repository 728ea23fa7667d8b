"""Is this still the same subject? What programs and helpdesks write around one is not part of it."""

import re
import unicodedata

MAX_CHARS = 1000
# Shorter than this, one subject standing within another is chance ("Hi" in "Shipping").
_TELLING_CHARS = 5

# "Re" and "Fwd" as mail programs of many languages write them. RFC 5322 §3.6.5 knows the first only.
_PREFIXES = (
    "re", "r", "aw", "antw", "antwort", "sv", "vs", "odp", "ynt", "cevap", "rif", "ref", "res", "resp", "rv", "enc",
    "fw", "fwd", "wg", "tr", "doorst", "i", "ilt", "pd", "vl", "vb", "továbbítás", "válasz", "απ", "σχετ", "πρθ",
    "ответ", "отв", "на", "回复", "回覆", "答复", "转发", "轉寄", "返信", "転送", "답장", "회신", "전달",
    "תשובה", "השב", "automatic reply", "autoreply", "out of office", "automatische antwort", "réponse automatique",
)  # fmt: skip
# No repetition within another: each step takes at least one character from the front.
_WORDS = "|".join(sorted(map(re.escape, _PREFIXES), key=len, reverse=True))
_PREFIX = re.compile(rf"(?:{_WORDS}) ?(?:[\[(]\d{{1,3}}[\])]|\^\d{{1,3}})? ?:")
_TAG = re.compile(r"\[[^\[\]]{0,100}\]|\*{1,5}[a-z ]{1,20}\*{1,5}")
_MARKER = re.compile(r"[\[(]? ?(?:(?:ticket|case|ref) ?(?:id|no\.?)? ?:? ?)?# ?\d{1,18} ?[\])]?")


def bare_subject(subject: str) -> str:
    """Without answer and forward prefixes, list tags and ticket markers; in one case, its spaces made one."""
    text = " ".join(unicodedata.normalize("NFKC", subject[:MAX_CHARS]).casefold().split())
    text = _MARKER.sub(" ", text)
    while True:
        text = text.lstrip(" -–—·")
        found = _PREFIX.match(text) or _TAG.match(text)
        if found is None:
            return " ".join(text.split()).rstrip(" -–—·:")
        text = text[found.end() :]


def is_another_subject(subject: str, *before: str) -> bool:
    """Whether none of the subjects `before` is meant. An empty one changes nothing, and one within the other neither:
    programs cut long subjects and write words in front of them.
    """
    bare = bare_subject(subject)
    known = [bare_subject(one) for one in before]
    if not bare or not any(known):
        return False
    return not any(bare == one or _holds(bare, one) or _holds(one, bare) for one in known)


def _holds(longer: str, shorter: str) -> bool:
    return len(shorter) >= _TELLING_CHARS and shorter in longer
