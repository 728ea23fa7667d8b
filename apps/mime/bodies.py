"""Choose what of a message is read, and keep everything else as a part (RFC 2046 §5.1).

Reading order: the text and the HTML of a `multipart/alternative` are two forms of one thing; bodies that
stand one after the other in a `multipart/mixed` (Apple Mail puts an image between two texts) are all read.
Nothing is left out: what is not read is a part.
"""

import html as entities
from dataclasses import dataclass, field

from apps.mime.charset import declared_charset, decode_text
from apps.mime.clean import clean_text
from apps.mime.encoded_files import EncodedFile, take_out_files
from apps.mime.flowed import unflow
from apps.mime.structure import Entity, Structure
from apps.mime.transfer import decode_transfer

_READ_AS_TEXT = frozenset(
    {"text/plain", "text/enriched", "text/richtext", "text/markdown", "text/x-markdown"}
)


@dataclass(frozen=True, slots=True)
class Body:
    """One thing to read: its text and its HTML (not sanitised yet), None where it has no such form."""

    text: str | None
    html: str | None

    def as_html(self) -> str:
        """Its HTML, made of its text where it has none."""
        if self.html is not None:
            return self.html
        return f'<div style="white-space: pre-wrap">{entities.escape(self.text or "", quote=False)}</div>'


@dataclass(slots=True)
class Choice:
    """The bodies in reading order, the entities kept as parts, the files that stood encoded in a text, and what was
    wrong on the way.
    """

    bodies: list[Body] = field(default_factory=list)
    kept: list[Entity] = field(default_factory=list)
    encoded: list[EncodedFile] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)


def choose_bodies(structure: Structure) -> Choice:
    """Walk a message and sort its entities into what is read and what is kept. Never raises."""
    chooser = _Chooser(structure.raw)
    chooser.choice.bodies = chooser.walk(structure.root)
    chooser.choice.kept.sort(key=lambda entity: entity.index)
    return chooser.choice


class _Chooser:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.choice = Choice()
        self.body_seen = False

    def walk(self, entity: Entity) -> list[Body]:
        """The bodies within an entity; what is none of them goes to `kept`. The depth is bounded by `structure`."""
        if not entity.children:
            return self._leaf(entity)
        if entity.content_type == "multipart/alternative":
            return self._alternative(entity)
        if entity.content_type == "multipart/related":
            return self._related(entity)
        if entity.content_type in {"multipart/report", "multipart/signed", "multipart/encrypted"}:
            # The first child is what people read (RFC 6522 §3, RFC 1847 §2.1); the others are for programs.
            self.choice.kept += [leaf for child in entity.children[1:] for leaf in _leaves(child)]
            return self.walk(entity.children[0])
        return [body for child in entity.children for body in self.walk(child)]

    def _leaf(self, entity: Entity) -> list[Body]:
        is_html = entity.content_type == "text/html"
        readable = is_html or entity.content_type in _READ_AS_TEXT
        # A named text is a file, except where it is all there is to read so far: some programs name the body.
        if not readable or entity.disposition == "attachment" or (entity.filename and self.body_seen):
            self.choice.kept.append(entity)
            return []
        text = self._decode(entity)
        if entity.filename and not text.strip():
            self.choice.kept.append(entity)
            return []
        self.body_seen = True
        return [Body(None, text) if is_html else Body(text, None)]

    def _alternative(self, entity: Entity) -> list[Body]:
        """RFC 2046 §5.1.4: the last form is the best; we take the best text and the best HTML."""
        texts: list[tuple[Entity, list[Body]]] = []
        htmls: list[tuple[Entity, list[Body]]] = []
        for child in entity.children:
            self.body_seen = False  # each form is a whole of its own, so its first text may be named
            bodies = self.walk(child)
            if any(body.html is not None for body in bodies):
                htmls.append((child, bodies))
            elif bodies:
                texts.append((child, bodies))
        self.body_seen = bool(texts or htmls)
        for forms in (texts, htmls):
            for child, _ in forms[:-1]:
                self.choice.kept += [leaf for leaf in _leaves(child) if leaf not in self.choice.kept]
        text_bodies = texts[-1][1] if texts else []
        html_bodies = htmls[-1][1] if htmls else []
        text = "\n".join(body.text or "" for body in text_bodies)
        if text.strip() and html_bodies:
            # Apple Mail puts an attachment between two pieces of HTML; the text is still the other form of both.
            return [Body(text, "<br>".join(body.as_html() for body in html_bodies))]
        if text.strip():
            return [Body(text, None)]
        return html_bodies or text_bodies

    def _related(self, entity: Entity) -> list[Body]:
        """RFC 2387 §3.2: the root is named by `start`, or is the first; where a program put a picture there, the first
        that can be read.
        """
        start = entity.parameters.get("start", "").strip("<> ")
        roots = [child for child in entity.children if start and content_id(child) == start]
        roots += [
            child for child in entity.children if child.content_type.startswith(("text/", "multipart/"))
        ]
        root = roots[0] if roots else entity.children[0]
        bodies = self.walk(root)
        for child in entity.children:
            if child is not root:
                self.choice.kept += _leaves(child)
        return bodies

    def _decode(self, entity: Entity) -> str:
        data, defect = decode_body(self.raw, entity)
        if entity.content_type == "text/plain":
            data, files = take_out_files(data)
            self.choice.encoded += files
        label = entity.parameters.get("charset", "")
        if entity.content_type == "text/html" and label.lower() in {"", "us-ascii"}:
            label = declared_charset(data) or label
        text, charset_defect = decode_text(data, label)
        self.choice.defects += [each for each in (defect, charset_defect) if each]
        text = clean_text(text.replace("\r\n", "\n").replace("\r", "\n"))
        if entity.content_type == "text/plain" and entity.parameters.get("format", "").lower() == "flowed":
            text = unflow(text, delete_space=entity.parameters.get("delsp", "").lower() == "yes")
        return text


def decode_body(raw: bytes, entity: Entity) -> tuple[bytes, str]:
    """An entity's body without its transfer encoding: (bytes, defect)."""
    return decode_transfer(raw[entity.start : entity.end], entity.headers.get("content-transfer-encoding"))


def content_id(entity: Entity) -> str:
    """An entity's Content-ID without its brackets, "" when it has none (RFC 2045 §7)."""
    return "".join(entity.headers.get("content-id").strip().strip("<>").split())


def _leaves(entity: Entity) -> list[Entity]:
    if not entity.children:
        return [entity]
    return [leaf for child in entity.children for leaf in _leaves(child)]
