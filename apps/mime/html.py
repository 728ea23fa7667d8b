"""Make HTML from strangers harmless, and keep it readable.

Three steps. A scan bounds size and nesting, because the parser behind nh3 is quadratic in nesting (100,000
open `<div>` take 14 s); what exceeds the bounds is shown as its text. nh3 then parses as a browser would
and keeps an allow-list of elements and attributes, with style values filtered by `styles`. Last, remote
images lose their `src`, so that opening a mail tells its sender nothing; the address stays in
`data-remote-src`, or `data-remote-background`, for a reader who asks to see it (`remote_images`).

The output is deterministic, and sanitising it again changes nothing. Some trees that a parser builds (a
link within a link) cannot be written down so that the next parser builds them again, which has been the way
around sanitisers before. So the second step is repeated until its output is stable: what the browser builds
is what was checked.
"""

import html as entities
import re
from collections.abc import Mapping
from urllib.parse import unquote

import nh3

from apps.mime.clean import clean_text
from apps.mime.styles import safe_style

MAX_HTML_CHARS = 2_000_000
_SPARE_CHARS = 10_000
MAX_DEPTH = 200
MAX_TAGS = 100_000
_MAX_PASSES = 6
# nh3 copies the rest of a text for each "&" in it: a budget of their product, summed over the texts, of about 0.5 s.
_MAX_AMPERSAND_COST = 50_000_000_000

_TAGS = frozenset(
    {
        "a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br", "caption",
        "center", "cite", "code", "col", "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em",
        "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "i",
        "img", "ins", "kbd", "li", "main", "mark", "nav", "ol", "p", "pre", "q", "s", "samp", "section",
        "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th",
        "thead", "time", "tr", "tt", "u", "ul", "var", "wbr"
    }
)  # fmt: skip
# Dropped with everything inside: what is in them is no text that a reader was meant to see.
_DROPPED_WHOLE = frozenset(
    {
        "applet", "audio", "canvas", "embed", "frame", "frameset", "head", "iframe", "math", "noembed",
        "noframes", "noscript", "object", "plaintext", "script", "select", "style", "svg", "template",
        "textarea", "title", "video", "xmp"
    }
)  # fmt: skip
_ON_EVERY_TAG = {"style", "dir", "lang", "title", "align"}
_GROUND = {"background", "data-remote-background"}
_CELL = {"width", "height", "valign", "bgcolor", "colspan", "rowspan", "nowrap"} | _GROUND
_ATTRIBUTES = {tag: set(_ON_EVERY_TAG) for tag in _TAGS} | {
    "a": _ON_EVERY_TAG | {"href"},
    "img": _ON_EVERY_TAG | {"src", "data-remote-src", "alt", "width", "height", "border"},
    "font": _ON_EVERY_TAG | {"color", "face", "size"},
    "table": _ON_EVERY_TAG | _GROUND | {"width", "height", "border", "cellpadding", "cellspacing", "bgcolor"},
    "tr": _ON_EVERY_TAG | _GROUND | {"valign", "bgcolor", "height"},
    "td": _ON_EVERY_TAG | _CELL,
    "th": _ON_EVERY_TAG | _CELL,
    "col": _ON_EVERY_TAG | {"span", "width"},
    "ol": _ON_EVERY_TAG | {"start", "type"},
    "ul": _ON_EVERY_TAG | {"type"},
    "li": _ON_EVERY_TAG | {"value"},
    "hr": _ON_EVERY_TAG | {"width", "size", "color"},
}
_HELD = frozenset({"background", "data-remote-background", "data-remote-src"})
_LINK = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_EMBEDDED = re.compile(r"cid:|data:image/(?:png|gif|jpeg|webp)[;,]", re.IGNORECASE)
_IGNORED_IN_URLS = re.compile(r"[\x00-\x20]+")

# Over nh3's own output, where every attribute is double-quoted and no text holds a bare "<".
_IMAGE = re.compile(r'<img((?: [a-z-]+="[^"]*")*)>')
_FINISHED = re.compile(r'<(img|a|table|tr|td|th)((?: [a-z-]+="[^"]*")+)>')
_HELD_BACK = re.compile(r' data-remote-(?:src|background)="|--remote-background: &quot;')
_PRE_LINE_END = re.compile(r'(<pre(?: [a-z-]+="[^"]*")*>)\n')
_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')

# Over hostile HTML, after the tokenizer of HTML §13.2.5; possessive, so that no input makes it go back.
_TOKEN = re.compile(
    r"""<!--(?:-?>|.*?(?:--!?>|\Z))|<[!?][^>]*+>?|</(?![a-zA-Z])[^>]*+>?|"""
    r"""<(?P<close>/?)(?P<name>[a-zA-Z][^\s/>]*+)"""
    r"""(?:[\s/]++|(?:=[^\s/>=]*+|[^\s/>=]++)(?:\s*+=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?)?)*+>?""",
    re.DOTALL,
)
_VOID = frozenset(
    {
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
        "wbr"
    }
)  # fmt: skip
# Their end tags may be omitted (HTML §13.1.2.4): the parser closes them, so they do not nest by themselves.
_SELF_CLOSING = frozenset(
    {
        "p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup",
        "rt", "rp"
    }
)  # fmt: skip
_FORMATTING = frozenset(
    {
        "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u", "span"
    }
)  # fmt: skip
_RAW_TEXT = re.compile(
    r"<(script|style|title|textarea|xmp)\b.*?(?:</\1\b[^>]*+>?|\Z)", re.DOTALL | re.IGNORECASE
)
_BLOCK_END = re.compile(r"</(?:p|div|tr|li|h[1-6]|table|blockquote)\s*>|<br\b[^>]*>", re.IGNORECASE)


def sanitise_html(html: str) -> str:
    """Harmless HTML that shows what this HTML shows. See the module's docstring; "" when nothing is left to show."""
    bounded = clean_text(html[:MAX_HTML_CHARS])
    if not within_bounds(bounded):
        return flatten_html(bounded)
    cleaned = bounded
    for _ in range(_MAX_PASSES):
        before, cleaned = cleaned, _clean(cleaned)
        # The scan predicts what the parser builds; this checks what it built.
        if len(cleaned) > MAX_HTML_CHARS or not within_bounds(cleaned):
            break
        if cleaned == before:
            return cleaned
    return flatten_html(bounded)


def flatten_html(html: str) -> str:
    """The text of HTML, as one preformatted block: crude and linear, for what is too big or too deep to lay out."""
    text = _RAW_TEXT.sub(" ", html[:MAX_HTML_CHARS])
    text = _TOKEN.sub("", _BLOCK_END.sub("\n", text))
    text = re.sub(r"\n\s*\n", "\n\n", clean_text(entities.unescape(text))).strip()
    # A <wbr> shows nothing and ends a text, so that none is long enough to be slow to parse.
    pieces = (text[start : start + 1000] for start in range(0, len(text), 1000))
    escaped, room = [], MAX_HTML_CHARS - _SPARE_CHARS
    for piece in pieces:
        escaped.append(entities.escape(piece, quote=False))
        # Escaped, a character may take five, and the result must stay within the bound that it was made for.
        room -= len(escaped[-1]) + len("<wbr>")
        if room < 0:
            break
    return _clean(f'<div style="white-space: pre-wrap">{"<wbr>".join(escaped)}</div>') if text else ""


def has_remote_images(sanitised: str) -> bool:
    """True when sanitised HTML holds images that were not loaded."""
    return _HELD_BACK.search(sanitised) is not None


def resolve_cids(html: str, urls: Mapping[str, str]) -> str:
    """Point `cid:` images (RFC 2392) of sanitised HTML at `urls`, by content id; an unknown one loses its `src`."""

    def resolve(match: re.Match[str]) -> str:
        attributes = []
        for name, value in _ATTRIBUTE.findall(match[1]):
            source = entities.unescape(value)
            if name == "src" and source.lower().startswith("cid:"):
                url = urls.get(unquote(source[4:])) or urls.get(source[4:])
                if url is None:
                    continue
                attributes.append(f' src="{entities.escape(url)}"')
            else:
                attributes.append(f' {name}="{value}"')
        return f"<img{''.join(attributes)}>"

    return _IMAGE.sub(resolve, html)


def shown_cids(sanitised: str) -> frozenset[str]:
    """The content ids that sanitised HTML shows as images."""
    shown = set()
    for match in _IMAGE.finditer(sanitised):
        for name, value in _ATTRIBUTE.findall(match[1]):
            source = entities.unescape(value)
            if name == "src" and source.lower().startswith("cid:"):
                shown |= {source[4:], unquote(source[4:])}
    return frozenset(shown)


def within_bounds(html: str) -> bool:
    """True when HTML nests no deeper, and has no more tags, than can be parsed and shown in reasonable time.

    An estimate made without building the tree: comments are skipped, elements whose end may be omitted are
    not counted, and an end tag reaches its start across formatting elements only, as the parser's own rules
    have it.
    """
    if html.count("<") > MAX_TAGS or _ampersand_cost(html) > _MAX_AMPERSAND_COST:
        return False
    open_tags: list[str] = []
    for match in _TOKEN.finditer(html):
        name = (match["name"] or "").lower()
        if not name or name in _VOID or name in _SELF_CLOSING:
            continue
        if not match["close"]:
            open_tags.append(name)
            if len(open_tags) > MAX_DEPTH:
                return False
            continue
        for place in range(len(open_tags) - 1, -1, -1):
            if open_tags[place] == name:
                del open_tags[place]
                break
            if open_tags[place] not in _FORMATTING:
                break
    return True


def _ampersand_cost(html: str) -> int:
    return sum(len(text) * text.count("&") for text in html.split("<"))


def _filter_attribute(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "style":
        return safe_style(value) or None
    url = _IGNORED_IN_URLS.sub("", value)
    if attribute == "href":
        return url if _LINK.match(url) else None
    if attribute == "src":
        return url if _REMOTE.match(url) or _EMBEDDED.match(url) else None
    if attribute in _HELD:
        return url if _REMOTE.match(url) else None
    return value


def _clean(html: str) -> str:
    # A control character may have come as a reference, `&#1`.
    cleaned = _FINISHED.sub(_finish_tag, clean_text(_cleaner.clean(html)))
    # HTML §13.2.6.4.7: a parser drops the first line end in <pre>. nh3 writes it but once, so the next
    # reader loses it.
    return _PRE_LINE_END.sub(r"\1\n\n", cleaned)


def _finish_tag(match: re.Match[str]) -> str:
    """Hold back a remote image, and put the attributes in one order: nh3 adds its own now before, now after others."""
    attributes = dict(_ATTRIBUTE.findall(match[2]))
    if match[1] not in {"a", "img"} and "background" not in attributes:
        return match[0]
    if _REMOTE.match(attributes.get("src", "")):
        attributes["data-remote-src"] = attributes.pop("src")
    if "background" in attributes:
        attributes["data-remote-background"] = attributes.pop("background")
    return f"<{match[1]}" + "".join(f' {name}="{attributes[name]}"' for name in sorted(attributes)) + ">"


_cleaner = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags=set(_DROPPED_WHOLE),
    attributes=_ATTRIBUTES,
    attribute_filter=_filter_attribute,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    url_relative="deny",
)
