"""Take a message apart into its entities (RFC 2045, RFC 2046), by offsets into the very bytes that came.

The standard library's parser descends recursively, line by line, and gives forwarded messages back
re-serialised. This one looks only for boundary lines. It is linear in the bytes for each level, stops at a
given depth and number of parts, and never raises; a forwarded message is a leaf with its own bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from apps.mime.headers import Headers, parse_parameters, read_headers

MAX_DEPTH = 25
MAX_ENTITIES = 1200

NESTING_TOO_DEEP = "nesting too deep"
TOO_MANY_PARTS = "too many parts"
NO_BOUNDARY = "multipart without its boundary"


@dataclass(slots=True)
class Entity:
    """A MIME entity: its headers, and where its body lies in the raw bytes. `index` is its place in the message."""

    index: int
    headers: Headers
    start: int
    end: int
    content_type: str
    parameters: dict[str, str]
    disposition: str
    filename: str
    children: list["Entity"] = field(default_factory=list)


@dataclass(slots=True)
class Structure:
    """A message taken apart: `root` is the message itself, and `complete` is False where a bound cut it short."""

    raw: bytes
    root: Entity
    defects: list[str]
    complete: bool


def read_structure(raw: bytes) -> Structure:
    """Take a message apart. Bounded and never raises."""
    return _Reader(raw).read()


class _Reader:
    def __init__(self, raw: bytes) -> None:
        # A file in the old Macintosh manner has no LF at all; every boundary would be missed.
        self.raw = raw if b"\n" in raw else raw.replace(b"\r", b"\n")
        self.count = 0
        self.defects: dict[str, None] = {}
        self.complete = True

    def read(self) -> Structure:
        root = self._entity(0, len(self.raw), depth=0, default_type="text/plain")
        return Structure(self.raw, root, list(self.defects), self.complete)

    def _entity(self, start: int, end: int, *, depth: int, default_type: str) -> Entity:
        headers, body_start = read_headers(self.raw, start, end)
        self.count += 1
        # RFC 2045 §5.2: no type, or none that can be read, means the default of the place.
        content_type, parameters, defects = parse_parameters(headers.get("content-type"))
        if not _is_type(content_type):
            content_type = default_type
        disposition, disposition_parameters, more = parse_parameters(headers.get("content-disposition"))
        self.defects |= dict.fromkeys([*headers.defects, *defects, *more])
        filename = disposition_parameters.get("filename") or parameters.get("name", "")
        entity = Entity(self.count, headers, body_start, end, content_type, parameters, disposition, filename)
        if content_type.startswith("multipart/"):
            self._descend(entity, depth)
        return entity

    def _descend(self, entity: Entity, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self._cut(NESTING_TOO_DEEP)
            return
        # RFC 2046 §5.1.5: within a digest the default is a message.
        default_type = "message/rfc822" if entity.content_type == "multipart/digest" else "text/plain"
        boundary = entity.parameters.get("boundary", "").rstrip().encode("utf-8", "replace")
        for start, end in _sections(self.raw, entity.start, entity.end, boundary):
            if self.count >= MAX_ENTITIES:
                self._cut(TOO_MANY_PARTS)
                break
            if end - start > 64 or self.raw[start:end].strip():
                entity.children.append(self._entity(start, end, depth=depth + 1, default_type=default_type))
        if not entity.children:
            # Nothing can be told apart, so all of it is shown: as text, the one form in which no word is lost.
            self.defects[NO_BOUNDARY] = None
            entity.content_type = "text/plain"

    def _cut(self, defect: str) -> None:
        self.defects[defect] = None
        self.complete = False


def _is_type(content_type: str) -> bool:
    main, slash, sub = content_type.partition("/")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789!#$&^_.+-")
    return bool(main and slash and sub) and set(main + sub) <= allowed and len(content_type) <= 127


def _sections(raw: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
    """The ranges between boundary lines. Preamble and epilogue are left out (RFC 2046 §5.1.1).

    Parts after a closing line are read as well: a stray closing line must not hide an attachment.
    """
    open_at: int | None = None
    for line_start, line_end, closing in _boundary_lines(raw, start, end, boundary):
        if open_at is not None:
            yield open_at, max(open_at, _before_line_end(raw, line_start))
        open_at = None if closing else line_end
    if open_at is not None and open_at < end:
        yield open_at, end


def _boundary_lines(raw: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """(where the line starts, where the next one starts, whether it closes) for each boundary line."""
    if not boundary:
        return
    needle = b"--" + boundary
    position = start if raw.startswith(needle, start, end) else _next_line(raw, start, end, needle)
    while position >= 0:
        eol = raw.find(b"\n", position, end)
        following = end if eol < 0 else eol + 1
        rest = raw[position + len(needle) : min(following, position + len(needle) + 1000)]
        closing = rest.startswith(b"--")
        # RFC 2046 §5.1.1: only blanks may follow, otherwise this is a longer boundary that begins like ours.
        if not rest.removeprefix(b"--").strip():
            yield position, following, closing
        position = _next_line(raw, following - 1, end, needle)


def _next_line(raw: bytes, position: int, end: int, needle: bytes) -> int:
    found = raw.find(b"\n" + needle, position, end)
    return found + 1 if found >= 0 else -1


def _before_line_end(raw: bytes, position: int) -> int:
    """RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary."""
    if raw[position - 1 : position] == b"\n":
        position -= 1
    return position - 1 if raw[position - 1 : position] == b"\r" else position
