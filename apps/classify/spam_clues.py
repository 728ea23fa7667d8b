"""What a spam filter may go by in a mail: its clues, such as `word:refund`, `subject:free`, `link:pills.example`.

Clues are what people could name too, so that a verdict can be told by them. They come from the parsed mail alone: words
of subject and text, who writes, where links and pictures lead, what is attached, and how the mail says it wants to be
treated. Transport headers are left out: they tell of the road, differ from one installation to the next, and a filter
that learned from two folders of mail would learn to tell the folders.

Everything is bounded: a mail has at most `MAX_CLUES`, from the first `MAX_CHARS` of its text.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from apps.mime.message import ParsedMessage

MAX_CLUES = 500
MAX_CHARS = 40_000
SHORTEST_WORD, LONGEST_WORD = 3, 24

_LINK = re.compile(r"(?:https?://|www\.)([a-z0-9.\-]{3,253})([^\s\"'<>]{0,300})", re.IGNORECASE)
_WORD = re.compile(r"[^\W_](?:[^\W_]|['’.\-$](?=[^\W_])){1,60}")
_SEEN_IN_HTML = (
    ("html:image", "<img"),
    ("html:table", "<table"),
    ("html:font", "<font"),
    ("html:centred", "center"),
)
_NAMED = ("list-id", "list-unsubscribe")
_QUOTED = ("precedence", "x-priority", "importance", "auto-submitted")


def clues_of(parsed: ParsedMessage) -> tuple[str, ...]:
    """Each clue once, those of the head first. Never empty: that a mail has no words is a clue."""
    found: dict[str, None] = {}
    for clue in _clues(parsed):
        found.setdefault(clue)
        if len(found) == MAX_CLUES:
            break
    return tuple(found)


def _clues(parsed: ParsedMessage) -> Iterator[str]:
    yield from _of_sender(parsed)
    subject = _folded(parsed.subject[:1000])
    yield from (f"subject:{word}" for word in _words(subject))
    if not subject.strip():
        yield "subject:none"
    elif parsed.subject.isupper():
        yield "subject:capitals"
    yield from _of_handling(parsed)
    yield from _of_shape(parsed)
    text, html = parsed.text[:MAX_CHARS], parsed.html[: 2 * MAX_CHARS]
    yield from _of_links(text, html)
    words = list(_words(_folded(text)))
    if not words:
        yield "text:none"
    yield from (f"word:{word}" for word in words)
    yield from (f"pair:{first} {second}" for first, second in pairwise(words))


def _of_sender(parsed: ParsedMessage) -> Iterator[str]:
    address = parsed.sender.address.lower()
    yield f"from:{address}" if address else "from:nobody"
    domain = address.rpartition("@")[2]
    yield from (f"from-domain:{one}" for one in _parents(domain))
    yield from (f"from-name:{word}" for word in _words(_folded(parsed.sender.name[:200])))
    answers = {one.address.lower().rpartition("@")[2] for one in parsed.reply_to}
    if answers and domain not in answers:
        yield "answers-elsewhere"
    if not parsed.to and not parsed.cc:
        yield "to:nobody"


def _of_handling(parsed: ParsedMessage) -> Iterator[str]:
    handling = dict(parsed.handling)
    yield from (f"says:{name} {handling[name][:40].lower()}" for name in _QUOTED if name in handling)
    yield from (f"has:{name}" for name in _NAMED if name in handling)
    if parsed.in_reply_to or parsed.references:
        yield "answers-a-mail"
    if not parsed.message_id:
        yield "message-id:none"
    if parsed.date is None:
        yield "date:none"


def _of_shape(parsed: ParsedMessage) -> Iterator[str]:
    yield f"kind:{parsed.kind.value}"
    if parsed.html:
        yield "html"
        low = parsed.html[: 2 * MAX_CHARS].lower()
        yield from (clue for clue, mark in _SEEN_IN_HTML if mark in low)
    if parsed.has_remote_images:
        yield "remote-images"
    for part in parsed.parts[:20]:
        yield f"file:{part.content_type}"
        yield f"file-ending:{part.filename.rpartition('.')[2].lower()[:8]}"
    yield f"length:{len(parsed.text).bit_length()}"


def _of_links(text: str, html: str) -> Iterator[str]:
    for found in list(_LINK.finditer(text))[:100] + list(_LINK.finditer(html))[:100]:
        host = found[1].lower().strip(".-").removeprefix("www.")
        if host.replace(".", "").isdigit():
            yield "link-to-number"
        else:
            yield from (f"link:{one}" for one in _parents(host))


def _parents(host: str) -> list[str]:
    """`mail.shop.example.biz`, and what it lies in: its last three, two and one labels."""
    labels = [label for label in host.split(".") if label]
    return [".".join(labels[-count:]) for count in (3, 2, 1) if len(labels) >= count]


def _words(text: str) -> Iterator[str]:
    for found in _WORD.finditer(text):
        word = found[0]
        if SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            yield word
        elif len(word) > LONGEST_WORD:
            yield f"long {word[0]} {len(word) // 10 * 10}"


def _folded(text: str) -> str:
    """Without the differences that spammers make and readers do not see: case, width, styled letters."""
    return unicodedata.normalize("NFKC", text).casefold()
