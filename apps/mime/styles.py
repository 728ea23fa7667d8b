"""Which inline CSS survives: an allow-list of properties, and values made of nothing but words, numbers and
colours.

Filtering names alone is not enough: `background: url(//spy)` fetches, `color: var(--x)` and `width:
expression(...)` compute, `position: fixed` leaves the message's frame (CSS 2.2 §9.3).

A background from elsewhere is held back: its address stays in `--remote-background`, a custom property that nothing
reads, for a reader who asks to see it (`remote_images`).
"""

import re
from functools import lru_cache

import tinycss2
from tinycss2.ast import Declaration, FunctionBlock, Node

from apps.mime.clean import clean_text

MAX_STYLE_CHARS = 4000

_PROPERTIES = frozenset(
    {
        "background", "background-color", "background-position", "background-repeat",
        "background-size", "border", "border-bottom", "border-bottom-color",
        "border-bottom-style", "border-bottom-width", "border-collapse", "border-color", "border-left",
        "border-left-color", "border-left-style", "border-left-width", "border-radius", "border-right",
        "border-right-color", "border-right-style", "border-right-width", "border-spacing", "border-style",
        "border-top", "border-top-color", "border-top-style", "border-top-width", "border-width",
        "caption-side", "clear", "color", "direction", "display", "empty-cells", "float", "font",
        "font-family", "font-size", "font-style", "font-variant", "font-weight", "height", "letter-spacing",
        "line-height", "list-style", "list-style-position", "list-style-type", "margin", "margin-bottom",
        "margin-left", "margin-right", "margin-top", "max-height", "max-width", "min-height", "min-width",
        "overflow-wrap", "padding", "padding-bottom", "padding-left", "padding-right", "padding-top",
        "table-layout", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align",
        "white-space", "width", "word-break", "word-spacing", "word-wrap"
    }
)  # fmt: skip
_HELD = "--remote-background"
_BACKGROUNDS = frozenset({"background", "background-image"})
# No quotation mark, parenthesis or backslash: it stands in a string in a style in an attribute.
_REMOTE = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]!$&*+,;=%|-]{1,1900}", re.IGNORECASE)
_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla"})
_PLAIN_TOKENS = frozenset(
    {"ident", "number", "dimension", "percentage", "hash", "string", "whitespace", "comment"}
)
_SEPARATORS = frozenset({",", "/"})
# Negative margins and indents pull text over its neighbours or out of sight.
_MAY_NOT_BE_NEGATIVE = ("margin", "text-indent", "letter-spacing", "word-spacing")


@lru_cache(maxsize=2048)
def safe_style(style: str) -> str:
    """The harmless declarations of a style attribute, in their order; "" when none is left or the value is
    too long.
    """
    if len(style) > MAX_STYLE_CHARS:
        return ""
    declarations = tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)
    kept = [text for each in declarations if each.type == "declaration" and (text := _safe_declaration(each))]
    return "; ".join(kept)


def _safe_declaration(declaration: Declaration) -> str:
    name = declaration.lower_name
    if name in _BACKGROUNDS and (remote := _remote(declaration.value)):
        declaration.value = [token for token in declaration.value if not _is_url(token)]
        rest = _safe_declaration(declaration) if name == "background" else ""
        return "; ".join(filter(None, [rest, f'{_HELD}: "{remote}"']))
    if name == _HELD:
        words = [token for token in declaration.value if token.type not in {"whitespace", "comment"}]
        held = words[0].value if len(words) == 1 and words[0].type == "string" else ""
        return f'{_HELD}: "{held}"' if _REMOTE.fullmatch(held) else ""
    if name not in _PROPERTIES or not all(_is_safe(token) for token in declaration.value):
        return ""
    if name.startswith(_MAY_NOT_BE_NEGATIVE) and any(
        getattr(token, "value", 0) < 0 for token in _numbers(declaration)
    ):
        return ""
    value = tinycss2.serialize(token for token in declaration.value if token.type != "comment").strip()
    # A backslash or an angle bracket is never needed by an honest value, and old parsers stumble over both.
    # `\2` in a string is a control character by then.
    if not value or any(mark in value for mark in "\\<>{}@") or clean_text(value) != value:
        return ""
    return f"{name}: {value}" + (" !important" if declaration.important else "")


def _remote(tokens: list[Node]) -> str:
    """The first address that a background is fetched from, or ""."""
    for token in filter(_is_url, tokens):
        strings = [each.value for each in getattr(token, "arguments", ()) if each.type == "string"]
        address = str(strings[0] if strings else getattr(token, "value", "")).strip()
        if _REMOTE.fullmatch(address):
            return address
    return ""


def _is_url(token: Node) -> bool:
    return token.type == "url" or (isinstance(token, FunctionBlock) and token.lower_name == "url")


def _numbers(declaration: Declaration) -> list[Node]:
    return [token for token in declaration.value if token.type in {"number", "dimension", "percentage"}]


def _is_safe(token: Node) -> bool:
    if isinstance(token, FunctionBlock):
        return token.lower_name in _FUNCTIONS and all(_is_safe_argument(each) for each in token.arguments)
    return token.type in _PLAIN_TOKENS or (token.type == "literal" and token.value in _SEPARATORS)


def _is_safe_argument(token: Node) -> bool:
    if token.type == "literal":
        return token.value in _SEPARATORS
    return token.type in {"number", "percentage", "dimension", "whitespace", "comment"}
