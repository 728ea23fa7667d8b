"""What a person wrote in the composer: a document of the editor, checked, and written out as HTML and as text.

The browser's HTML is never taken. The editor hands over its document as JSON (ProseMirror's: nodes with a type,
attributes, marks and content), and this module writes both parts of the mail from it, so that nothing stands in a mail
that is not in the tables below. What the tables do not know is refused, with the place where it stands: a document of
ours always fits, and one that does not was not made by the editor.

The HTML is for mail readers, whose engines are old: every style stands on its element, lengths in pixels, no class, no
style sheet, and no colour but for lines and links, so that a reader in dark mode may choose its own. The text says the
same for readers without HTML: lists with their marks, quotations with `> `, links with their address behind them.

Bounds: `MAX_CHARS` of JSON, `MAX_NODES`, `MAX_DEPTH`; time is linear in them.
"""

import html as entities
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.mime.clean import clean_line, clean_text

MAX_CHARS = 2_000_000
MAX_NODES = 50_000
MAX_DEPTH = 40
MAX_PICTURE_PIXELS = 10_000
MAX_SPAN = 100

FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:15px;line-height:1.5"
QUOTED = "margin:0 0 0 4px;padding:0 0 0 12px;border-left:2px solid #c4c9d4"
_CELL = "border:1px solid #c4c9d4;padding:5px 9px;text-align:left;vertical-align:top"
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px"

# What may stand within what, by group; a node's own groups are in `_GROUPS`.
_CONTENT = {
    "doc": "block",
    "paragraph": "inline",
    "heading": "inline",
    "blockquote": "block",
    "bulletList": "item",
    "orderedList": "item",
    "listItem": "block",
    "codeBlock": "text",
    "table": "row",
    "tableRow": "cell",
    "tableCell": "block",
    "tableHeader": "block",
    "horizontalRule": "",
    "hardBreak": "",
    "image": "",
}
_GROUPS = {
    "paragraph": "block",
    "heading": "block",
    "blockquote": "block",
    "bulletList": "block",
    "orderedList": "block",
    "codeBlock": "block",
    "table": "block",
    "horizontalRule": "block",
    "listItem": "item",
    "tableRow": "row",
    "tableCell": "cell",
    "tableHeader": "cell",
    "hardBreak": "inline",
    "image": "inline",
    "text": "inline",
}
_MARKS = ("link", "bold", "italic", "underline", "strike", "code")
_MARK_TAGS = {
    "bold": ("<strong>", "</strong>"),
    "italic": ("<em>", "</em>"),
    "underline": ("<u>", "</u>"),
    "strike": ("<s>", "</s>"),
    "code": (f'<code style="{_MONO}">', "</code>"),
}
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>\"\x00-\x1f]{1,2000}", re.IGNORECASE)
_CID = re.compile(r"[A-Za-z0-9._-]{1,100}@[A-Za-z0-9.-]{1,100}")


class DocumentInvalid(ValueError):
    """This is no document of the editor; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Document:
    """Checked. `tree` is what of it is kept; `html` and `text` say the same; `pictures` are its content ids."""

    tree: dict[str, Any]
    html: str
    text: str
    pictures: frozenset[str]

    @property
    def is_empty(self) -> bool:
        return not self.text.strip() and not self.pictures


def read_document(source: str) -> Document:
    """A document as the editor wrote it. Raises DocumentInvalid."""
    if len(source) > MAX_CHARS:
        raise DocumentInvalid("the text is too long")
    try:
        tree = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise DocumentInvalid("it is no JSON") from error
    return document_of(tree)


def document_of(given: Any) -> Document:
    """The same from JSON that was read already. Raises DocumentInvalid."""
    reader = _Reader()
    tree = reader.check(given, "doc", "doc", 0)
    return Document(
        tree=tree,
        html="".join(_html(node) for node in tree["content"]),
        text="\n".join(_blocks(tree["content"])).strip("\n"),
        pictures=frozenset(reader.pictures),
    )


def document_of_text(text: str) -> Document:
    """What was written without the editor: a paragraph for each, divided by blank lines."""
    paragraphs = re.split(r"\n{2,}", clean_text(text).replace("\r\n", "\n").strip("\n"))
    return document_of({"type": "doc", "content": [_paragraph(one) for one in paragraphs if one]})


def _paragraph(text: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for n, line in enumerate(text.split("\n")):
        content += [{"type": "hardBreak"}] if n else []
        content += [{"type": "text", "text": line}] if line else []
    return {"type": "paragraph", "content": content}


class _Reader:
    """Walks a tree that anybody may have made, and makes one of what the tables know."""

    def __init__(self) -> None:
        self.nodes = 0
        self.pictures: set[str] = set()

    def check(self, node: Any, place: str, group: str, depth: int) -> dict[str, Any]:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise DocumentInvalid("it has too many parts, or too many within each other")
        if not isinstance(node, dict):
            raise DocumentInvalid(f"{place} is no node")
        kind = node.get("type")
        if not isinstance(kind, str) or not _belongs(kind, group):
            raise DocumentInvalid(f"{place} may not be {str(kind)[:40]!r}")
        if kind == "text":
            return _text(node, place)
        given, content = node.get("attrs") or {}, node.get("content") or []
        if not isinstance(given, dict) or not isinstance(content, list) or (content and not _CONTENT[kind]):
            raise DocumentInvalid(f"{place} has not the shape of its kind")
        kept = _ATTRIBUTES.get(kind, _no_attributes)(given, place)
        if kind == "image":
            self.pictures.add(kept["cid"])
        inner = [
            self.check(child, f"{place}/{kind}[{n}]", _CONTENT[kind], depth + 1)
            for n, child in enumerate(content)
        ]
        return {"type": kind, "attrs": kept, "content": inner}


def _belongs(kind: str, group: str) -> bool:
    return kind == group if group in ("doc", "text") else _GROUPS.get(kind) == group


def _text(node: dict[str, Any], place: str) -> dict[str, Any]:
    text, marks = node.get("text"), node.get("marks") or []
    if not isinstance(text, str) or not text or not isinstance(marks, list):
        raise DocumentInvalid(f"{place} is no text")
    kept = [one for one in (_mark(mark, place) for mark in marks) if one]
    return {"type": "text", "text": clean_text(text) or " ", "marks": kept}


def _mark(mark: Any, place: str) -> dict[str, Any] | None:
    """A mark, checked; a link that leads nowhere a reader may follow is text without a link."""
    if not isinstance(mark, dict) or mark.get("type") not in _MARKS:
        raise DocumentInvalid(f"{place} is marked as nothing we know")
    if mark["type"] != "link":
        return {"type": mark["type"]}
    attributes = mark.get("attrs")
    href = attributes.get("href") if isinstance(attributes, dict) else None
    if not isinstance(href, str) or not _LINK.fullmatch(href.strip()):
        return None
    return {"type": "link", "attrs": {"href": href.strip()}}


# Attributes: what is kept of each node's, in the shape that is written.


def _no_attributes(_given: Mapping[str, Any], _place: str) -> dict[str, Any]:
    return {}


def _heading(given: Mapping[str, Any], _place: str) -> dict[str, Any]:
    return {"level": 3 if given.get("level") == 3 else 2}


def _ordered(given: Mapping[str, Any], _place: str) -> dict[str, Any]:
    return {"start": _within(given.get("start"), 1, 100_000) or 1}


def _cell(given: Mapping[str, Any], _place: str) -> dict[str, Any]:
    return {name: _within(given.get(name), 1, MAX_SPAN) or 1 for name in ("colspan", "rowspan")}


def _image(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    cid, alt = given.get("cid"), given.get("alt")
    if not isinstance(cid, str) or not _CID.fullmatch(cid):
        raise DocumentInvalid(f"{place} is a picture without a name")
    sizes = {name: _within(given.get(name), 1, MAX_PICTURE_PIXELS) for name in ("width", "height")}
    return {"cid": cid, "alt": clean_line(alt) if isinstance(alt, str) else "", **sizes}


def _within(value: Any, least: int, most: int) -> int | None:
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None
    )


_ATTRIBUTES: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "heading": _heading,
    "orderedList": _ordered,
    "tableCell": _cell,
    "tableHeader": _cell,
    "image": _image,
}


# HTML


def _html(node: Mapping[str, Any]) -> str:
    kind = node["type"]
    if kind == "text":
        return _html_text(node)
    inner = "".join(_html(child) for child in node["content"])
    return _HTML[kind](node["attrs"], inner)


def _html_text(node: Mapping[str, Any]) -> str:
    # Runs of blanks are what the writer saw; HTML would make one of them.
    out = entities.escape(node["text"], quote=False).replace("  ", "&nbsp; ")
    marks = sorted(node["marks"], key=lambda mark: _MARKS.index(mark["type"]), reverse=True)
    for mark in marks:
        if mark["type"] == "link":
            out = f'<a href="{entities.escape(mark["attrs"]["href"])}">{out}</a>'
        else:
            begin, end = _MARK_TAGS[mark["type"]]
            out = f"{begin}{out}{end}"
    return out


def _element(tag: str, style: str = "") -> Callable[[Mapping[str, Any], str], str]:
    begin = f'<{tag} style="{style}">' if style else f"<{tag}>"
    return lambda _attributes, inner: f"{begin}{inner}</{tag}>\n"


def _html_heading(attributes: Mapping[str, Any], inner: str) -> str:
    size = "20px" if attributes["level"] == 2 else "17px"
    tag = f"h{attributes['level']}"
    return f'<{tag} style="margin:18px 0 8px;font-size:{size};line-height:1.3">{inner}</{tag}>\n'


def _html_ordered(attributes: Mapping[str, Any], inner: str) -> str:
    start = f' start="{attributes["start"]}"' if attributes["start"] != 1 else ""
    return f"<ol{start} {_LIST}>\n{inner}</ol>\n"


def _html_cell(tag: str) -> Callable[[Mapping[str, Any], str], str]:
    def write(attributes: Mapping[str, Any], inner: str) -> str:
        spans = "".join(f' {name}="{value}"' for name, value in attributes.items() if value != 1)
        return f'<{tag}{spans} style="{_CELL}">{_tight(inner)}</{tag}>'

    return write


def _html_image(attributes: Mapping[str, Any], _inner: str) -> str:
    sizes = "".join(f' {name}="{attributes[name]}"' for name in ("width", "height") if attributes[name])
    source, alt = entities.escape(attributes["cid"]), entities.escape(attributes["alt"])
    return f'<img src="cid:{source}" alt="{alt}"{sizes} style="max-width:100%;height:auto">'


def _tight(inner: str) -> str:
    """One paragraph in a cell or an item needs no room below it."""
    return inner.replace(_PARAGRAPH, '<p style="margin:0">') if inner.count(_PARAGRAPH) == 1 else inner


_PARAGRAPH = '<p style="margin:0 0 12px">'
_LIST = 'style="margin:0 0 12px;padding:0 0 0 28px"'
_INNER_LIST = 'style="margin:4px 0 0;padding:0 0 0 28px"'
_HTML: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    # An empty paragraph is a blank line, and without anything in it readers let it vanish.
    "paragraph": lambda _attributes, inner: f"{_PARAGRAPH}{inner or '<br>'}</p>\n",
    "heading": _html_heading,
    "blockquote": lambda _attributes, inner: (
        f'<blockquote style="{QUOTED};margin-bottom:12px">\n{inner}</blockquote>\n'
    ),
    "bulletList": lambda _attributes, inner: f"<ul {_LIST}>\n{inner}</ul>\n",
    "orderedList": _html_ordered,
    "listItem": lambda _attributes, inner: (
        # A list within an item ends with it: the room below is the outer list's.
        f'<li style="margin:0 0 4px">{_tight(inner).replace(_LIST, _INNER_LIST)}</li>\n'
    ),
    "codeBlock": _element(
        "pre", f"margin:0 0 12px;padding:8px 12px;border:1px solid #c4c9d4;white-space:pre-wrap;{_MONO}"
    ),
    "table": lambda _attributes, inner: (
        '<table cellpadding="0" cellspacing="0" style="border-collapse:collapse;margin:0 0 12px">\n'
        f"<tbody>\n{inner}</tbody></table>\n"
    ),
    "tableRow": _element("tr"),
    "tableCell": _html_cell("td"),
    "tableHeader": _html_cell("th"),
    "horizontalRule": lambda _attributes, _inner: (
        '<hr style="border:0;border-top:1px solid #c4c9d4;margin:16px 0">\n'
    ),
    "hardBreak": lambda _attributes, _inner: "<br>\n",
    "image": _html_image,
}


# Text


def _blocks(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of some blocks. An empty paragraph is a blank line, and text that follows text keeps its distance."""
    for n, node in enumerate(nodes):
        if n and not (
            node["type"] == "paragraph" and nodes[n - 1]["type"] == "paragraph" and not _is_spaced(nodes)
        ):
            yield ""
        yield from _lines(node)


def _is_spaced(nodes: list[dict[str, Any]]) -> bool:
    """Whether paragraphs stand for paragraphs. Who presses Return twice has put the blank lines there already."""
    return all(node["content"] for node in nodes if node["type"] == "paragraph")


def _lines(node: Mapping[str, Any]) -> Iterator[str]:
    match node["type"]:
        case "paragraph" | "heading" | "codeBlock":
            yield from _inline(node).split("\n")
        case "blockquote":
            yield from (f"> {line}".rstrip() for line in _blocks(node["content"]))
        case "bulletList":
            for item in node["content"]:
                yield from _item("- ", item)
        case "orderedList":
            for n, item in enumerate(node["content"], node["attrs"]["start"]):
                yield from _item(f"{n}. ", item)
        case "table":
            for row in node["content"]:
                yield " | ".join(" ".join(filter(None, _blocks(cell["content"]))) for cell in row["content"])
        case "horizontalRule":
            yield "-" * 20


def _item(mark: str, item: Mapping[str, Any]) -> Iterator[str]:
    lines = list(_blocks(item["content"])) or [""]
    yield f"{mark}{lines[0]}".rstrip()
    for line in lines[1:]:
        if line:
            yield f"{' ' * len(mark)}{line}"


def _inline(node: Mapping[str, Any]) -> str:
    return "".join(_inline_text(child) for child in node["content"])


def _inline_text(node: Mapping[str, Any]) -> str:
    if node["type"] == "hardBreak":
        return "\n"
    if node["type"] == "image":
        return f"[{node['attrs']['alt']}]" if node["attrs"]["alt"] else ""
    text: str = node["text"]
    href = next((mark["attrs"]["href"] for mark in node["marks"] if mark["type"] == "link"), "")
    if (
        not href
        or href.removeprefix("mailto:").removeprefix("tel:") == text
        or text.rstrip("/") == href.rstrip("/")
    ):
        return text
    return f"{text} <{href}>"
