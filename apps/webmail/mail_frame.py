"""The document inside a mail's frame: sanitised HTML, with quotes folded and deceiving links marked.

It is served from an origin of its own into a sandbox without scripts, so what is added here is plain HTML. Folding is a
link of the frame to itself: the document with everything shown is another document, and the frame, which sizes itself
when a document loads, fits that one too.

Only a quotation that ends the mail is folded: with words below it somebody may have answered in between.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

_LOOKS_LIKE_HOST = re.compile(
    r"(?:https?://)?(?:[^/@\s]{0,200}@)?((?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})(?![\w.-])", re.IGNORECASE
)


@dataclass
class _Link:
    href: str
    text: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    """Copies a document token by token, and notes where its last outermost quotation begins and ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.out: list[str] = []
        self.link: _Link | None = None
        self.depth = 0
        self.quote_start = -1
        self.quote_end = -1
        self.written_after_quote = False
        self.written_before_quote = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "blockquote":
            if self.depth == 0:
                self.written_before_quote = self.written_before_quote or self.written_after_quote
                self.quote_start, self.written_after_quote = len(self.out), False
            self.depth += 1
        elif tag == "a":
            self.link = _Link(dict(attrs).get("href") or "")
        elif tag == "img" and self.depth == 0:
            self._note_writing()
        self.out.append(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.out.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self.out.append(f"</{tag}>")
        if tag == "blockquote" and self.depth:
            self.depth -= 1
            if self.depth == 0:
                self.quote_end = len(self.out)
        elif tag == "a" and self.link is not None:
            self.out.append(mark_elsewhere(self.link.href, "".join(self.link.text)))
            self.link = None

    def handle_data(self, data: str) -> None:
        self.out.append(data)
        if self.link is not None:
            self.link.text.append(data)
        if self.depth == 0 and data.strip():
            self._note_writing()

    def handle_entityref(self, name: str) -> None:
        self.out.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.out.append(f"&#{name};")

    def _note_writing(self) -> None:
        if self.quote_end < 0:
            self.written_before_quote = True
        else:
            self.written_after_quote = True

    @property
    def can_fold(self) -> bool:
        return (
            self.quote_end > self.quote_start >= 0
            and self.written_before_quote
            and not self.written_after_quote
        )


def mark_elsewhere(href: str, shown: str) -> str:
    """A remark to put behind a link whose text names another host than it leads to, or "".

    `login.bank.example` shown for `bank.example` and the other way round is the same house and gets none.
    """
    named = _LOOKS_LIKE_HOST.match(shown.strip())
    target = _host_of(href)
    if named is None or not target:
        return ""
    host = named.group(1).lower().removeprefix("www.")
    real = target.removeprefix("www.")
    if host == real or host.endswith("." + real) or real.endswith("." + host):
        return ""
    remark = escape(_("leads to %(host)s") % {"host": target})
    return f'<span class="elsewhere">⚠ {remark}</span>'


def _host_of(href: str) -> str:
    try:
        parts = urlsplit(href)
    except ValueError:
        return ""
    return (parts.hostname or "").lower() if parts.scheme in ("http", "https") else ""


@dataclass(frozen=True, slots=True)
class FrameLook:
    """What a frame's address asks for beside its mail; each is a link of the frame to itself."""

    quotes_shown: bool = False
    pictures_shown: bool = False
    colours_adapted: bool = False

    @classmethod
    def of_query(cls, query: QueryDict) -> "FrameLook":
        return cls(
            query.get("quotes") == "shown",
            query.get("pictures") == "shown",
            query.get("colours") == "adapted",
        )

    @property
    def unfolded(self) -> str:
        """The query of the same frame with its quotes shown."""
        return urlencode(
            {"quotes": "shown"}
            | ({"pictures": "shown"} if self.pictures_shown else {})
            | ({"colours": "adapted"} if self.colours_adapted else {})
        )


def frame_document(sanitised: str, look: FrameLook, *, language: str, page_origin: str) -> str:
    """A whole document for the frame. `page_origin` is the only page that may learn its height."""
    reader = _Reader()
    reader.feed(sanitised)
    reader.close()
    out = reader.out
    if reader.can_fold and not look.quotes_shown:
        fold = render_to_string("webmail/content/fold.html", {"look": look})
        out = [*out[: reader.quote_start], fold, *out[reader.quote_end :]]
    # The parts come from the sanitiser; what was added is escaped.
    body = mark_safe("".join(out))  # noqa: S308
    return render_to_string(
        "webmail/content/body.html",
        {"body": body, "language": language, "page_origin": page_origin, "look": look},
    )


def mark_links(sanitised: str) -> str:
    """Sanitised HTML with deceiving links marked, and nothing folded: as it is printed."""
    reader = _Reader()
    reader.feed(sanitised)
    reader.close()
    return "".join(reader.out)
