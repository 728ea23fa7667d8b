"""Look inside the parts that wrap others: winmail.dat, forwarded messages, opaque S/MIME signatures.

The wrapping is kept as it came, with its number; what is in it is added behind all other parts, so that looking deeper
one day renumbers nothing. What is found inside may wrap again: that is followed a few levels deep, within a number of
parts and within a multiple of the message's own size, and what lies beyond stays in its wrapping.

The message in a report on mail of ours is our own, and stays closed.
"""

from dataclasses import dataclass, field

from apps.mime.address import Address, parse_addresses
from apps.mime.bodies import Body, choose_bodies
from apps.mime.clean import clean_filename, clean_line
from apps.mime.files import MESSAGES, File, files_of, name_of, type_of_name
from apps.mime.headers import Headers, parse_date
from apps.mime.html import sanitise_html
from apps.mime.message import Enclosed, MessageKind
from apps.mime.protection import is_pkcs7, open_pkcs7, protection_of
from apps.mime.remote_images import RemoteImages, count_remote
from apps.mime.structure import Entity, Structure, read_structure
from apps.mime.text import html_to_text
from apps.mime.tnef import Tnef, is_tnef, read_tnef
from apps.mime.words import decode_words

NOT_UNWRAPPED = "more within its attachments than was unwrapped"
DAMAGED_TNEF = "damaged winmail.dat"
PARTIAL_MESSAGE = "partial_message"
EXTERNAL_BODY = "external_body"

MAX_DEPTH = 5
MAX_PARTS = 1200
MAX_ENCLOSED = 50
MAX_ENCLOSED_CHARS = 20_000
_MAX_ENCLOSED_HTML_CHARS = 200_000
_SPARE_BYTES = 1024 * 1024

_OF_TYPE = {"message/partial": PARTIAL_MESSAGE, "message/external-body": EXTERNAL_BODY}
# MS-OXCMSG §2.2.1.3 and MS-OXORPT: what Outlook calls kinds of messages, by how their names begin or end.
_CLASS_KINDS = (
    ("ipm.microsoft mail.read receipt", MessageKind.RECEIPT),
    ("ipm.microsoft mail.non-delivery", MessageKind.BOUNCE),
    ("ipm.note.rules.", MessageKind.AUTO_REPLY),
    ("ipm.schedule.meeting", MessageKind.CALENDAR),
    ("ipm.microsoft schedule.", MessageKind.CALENDAR),
)
_REPORT_KINDS = {
    "ndr": MessageKind.BOUNCE,
    "dr": MessageKind.BOUNCE,
    "ipnrn": MessageKind.RECEIPT,
    "ipnnrn": MessageKind.RECEIPT,
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A file with its number and that of the one it was found in. `shown`: the HTML beside it shows it."""

    n: int
    within: int
    file: File
    shown: bool = False

    @property
    def filename(self) -> str:
        return name_of(self.file, self.n)


@dataclass(slots=True)
class Unwrapped:
    """All files, the messages among them, and bodies for a message that has none of its own."""

    placed: list[Placed] = field(default_factory=list)
    enclosed: list[Enclosed] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    remarks: dict[str, None] = field(default_factory=dict)
    defects: dict[str, None] = field(default_factory=dict)
    kind: MessageKind | None = None


def unwrap(structure: Structure, files: list[File], *, wants_body: bool, is_report: bool) -> Unwrapped:
    """Number the files of a message and what is inside them. Bounded, and never raises."""
    return _Unwrapper(structure, wants_body=wants_body, is_report=is_report).run(files)


def sender_of(headers: Headers) -> Address:
    """Who wrote a message, by its From."""
    value = headers.get("from")
    found = parse_addresses(value, limit=1)
    # `From: Mail Delivery System` names no address, and is still what the reader should see.
    return found[0] if found else Address(clean_line(decode_words(value), 250), "")


def subject_of(headers: Headers) -> str:
    """What a message says it is about."""
    return clean_line(decode_words(headers.get("subject")))


class _Unwrapper:
    def __init__(self, structure: Structure, *, wants_body: bool, is_report: bool) -> None:
        self.found = Unwrapped()
        self.room_bytes = 2 * len(structure.raw) + _SPARE_BYTES
        self.wants_body = wants_body
        self.is_report = is_report
        self.depths: list[int] = []
        self._remark(structure.root)

    def run(self, files: list[File]) -> Unwrapped:
        for file in files:
            self._place(file, within=0, depth=0)
        for placed in self.found.placed:  # it grows while it is walked
            if self.depths[placed.n - 1] < MAX_DEPTH:
                self._look_into(placed)
            elif placed.file.content_type in MESSAGES:
                self.found.defects[NOT_UNWRAPPED] = None
        return self.found

    def _place(self, file: File, *, within: int, depth: int, shown: bool = False) -> None:
        self.found.placed.append(Placed(len(self.found.placed) + 1, within, file, shown))
        self.depths.append(depth)

    def _look_into(self, placed: Placed) -> None:
        file = placed.file
        if is_tnef(file.data):
            self._open_tnef(placed, read_tnef(file.data))
        elif is_pkcs7(file.content_type, file.filename):
            protection, content = open_pkcs7(file.data)
            self._remark_as(protection)
            if content:
                self._open_signed(placed, content)
        elif self._is_message(placed):
            self._open_message(placed)

    def _is_message(self, placed: Placed) -> bool:
        file = placed.file
        if file.is_whole:
            return False
        if file.content_type == "application/octet-stream":
            return file.filename.lower().endswith(".eml")
        return file.content_type in MESSAGES and not (self.is_report and not placed.within)

    def _open_tnef(self, placed: Placed, tnef: Tnef) -> None:
        if tnef.damaged:
            self.found.defects[DAMAGED_TNEF] = None
        if not placed.within:
            self.found.kind = self.found.kind or _kind_of_class(tnef.message_class)
        shown = ""
        inside: list[File] = []
        if tnef.html.strip() or tnef.text.strip():
            if self.wants_body and not placed.within:
                self.wants_body = False
                self.found.bodies.append(Body(tnef.text or None, tnef.html or None))
                shown = tnef.html
            elif placed.within:
                text = tnef.html or tnef.text
                kind = "text/html" if tnef.html else "text/plain"
                name = f"{placed.filename.rpartition('.')[0]}.{'html' if tnef.html else 'txt'}"
                inside.append(File(clean_filename(name), kind, "", text.encode()))
        for one in tnef.attachments:
            name = clean_filename(one.filename)
            content_type = "application/ms-tnef" if one.is_message else one.content_type
            inside.append(
                File(name, content_type or type_of_name(name), clean_line(one.content_id), one.data)
            )
        self._put_inside(placed, inside, shown)

    def _open_signed(self, placed: Placed, content: bytes) -> None:
        structure = read_structure(content)
        choice = choose_bodies(structure)
        self._remark(structure.root)
        if self.wants_body and not placed.within:
            self.wants_body = False
            self.found.bodies += choice.bodies
        self._put_inside(placed, files_of(structure, choice), _html_of(choice.bodies))

    def _open_message(self, placed: Placed) -> None:
        structure = read_structure(placed.file.data)
        if not structure.root.headers.fields:
            return
        choice = choose_bodies(structure)
        headers = structure.root.headers
        if len(self.found.enclosed) < MAX_ENCLOSED:
            enclosed = Enclosed(
                n=placed.n,
                sender=sender_of(headers),
                to=parse_addresses(headers.get("to"), limit=20),
                subject=subject_of(headers),
                date=parse_date(headers.get("date")),
                text=_text_of(choice.bodies),
                remote=_remote_in(choice.bodies),
            )
            self.found.enclosed.append(enclosed)
        self._put_inside(placed, files_of(structure, choice), _html_of(choice.bodies))

    def _put_inside(self, placed: Placed, files: list[File], html: str) -> None:
        size = sum(len(file.data) for file in files)
        if size > self.room_bytes or len(self.found.placed) + len(files) > MAX_PARTS:
            self.found.defects[NOT_UNWRAPPED] = None
            return
        self.room_bytes -= size
        depth = self.depths[placed.n - 1] + 1
        for file in files:
            shown = bool(file.content_id) and f"cid:{file.content_id}" in html
            self._place(file, within=placed.n, depth=depth, shown=shown)

    def _remark(self, entity: Entity) -> None:
        self._remark_as(protection_of(entity) or _OF_TYPE.get(entity.content_type, ""))
        for child in entity.children:
            self._remark(child)

    def _remark_as(self, code: str) -> None:
        if code:
            self.found.remarks[code] = None


def _html_of(bodies: list[Body]) -> str:
    return "".join(body.html or "" for body in bodies)


def _text_of(bodies: list[Body]) -> str:
    pieces = [
        body.text if (body.text or "").strip() or body.html is None else html_to_text(_sanitised(body.html))
        for body in bodies
    ]
    return "\n\n".join(piece.strip("\n") for piece in pieces if piece)[:MAX_ENCLOSED_CHARS]


def _remote_in(bodies: list[Body]) -> RemoteImages:
    """What they want from elsewhere. Most want nothing, and name no address either."""
    html = _html_of(bodies)
    return count_remote(_sanitised(html)) if "://" in html else RemoteImages()


def _sanitised(html: str) -> str:
    """Of the beginning, because there may be many."""
    return sanitise_html(html[:_MAX_ENCLOSED_HTML_CHARS])


def _kind_of_class(message_class: str) -> MessageKind | None:
    name = message_class.lower()
    if name.startswith("report."):
        return _REPORT_KINDS.get(name.rpartition(".")[2])
    return next((kind for start, kind in _CLASS_KINDS if name.startswith(start)), None)
