"""Read a delivery status notification (RFC 3464, with RFC 6533's addresses): fields for programs, one block a
recipient.

Servers are loose about it: actions are missing, statuses are followed by prose, blank lines stand where none should,
the per-message fields and the first recipient share a block. What is read here is what they mean. Bounded, never
raises.
"""

import re
from collections.abc import Iterator

from apps.mime.clean import clean_line
from apps.mime.headers import Headers, read_headers
from apps.outbound.bounces.report import MAX_DIAGNOSTIC_CHARS, MAX_RECIPIENTS, Told
from apps.outbound.models import ReportAction

MAX_BYTES = 256 * 1024
MAX_BLOCKS = 1000
_WORD = re.compile(rb"\S")

STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_UNSPECIFIC = {"", "5.0.0", "4.0.0", "2.0.0"}
# RFC 3464 §2.3.3. "deliverable" is Postfix's answer to `sendmail -bv`; "failure", "delay" and "expired" are seen in
# the wild.
_ACTIONS = {
    "failed": ReportAction.FAILED,
    "failure": ReportAction.FAILED,
    "delayed": ReportAction.DELAYED,
    "delay": ReportAction.DELAYED,
    "delivered": ReportAction.DELIVERED,
    "relayed": ReportAction.RELAYED,
    "expanded": ReportAction.EXPANDED,
    "deliverable": ReportAction.NOTED,
    "undeliverable": ReportAction.NOTED,
    "expired": ReportAction.FAILED,
}
_BY_CLASS = {"5": ReportAction.FAILED, "4": ReportAction.DELAYED, "2": ReportAction.DELIVERED}
# RFC 6533 §3: \x{HEX} in utf-8-addr-xtext and utf-8-addr-unitext.
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_COMMENT = re.compile(r"\([^()]*\)")


def read_delivery_status(data: bytes) -> tuple[Told, ...]:
    """What a message/delivery-status or message/global-delivery-status body tells of each recipient."""
    server = ""
    told: list[Told] = []
    for block in _blocks(data[:MAX_BYTES]):
        server = _typed(block.get("reporting-mta")) or server
        if any(block.has(name) for name in ("final-recipient", "original-recipient", "action")):
            told.append(_read_block(block, server))
        if len(told) >= MAX_RECIPIENTS:
            break
    return tuple(told)


def _blocks(data: bytes) -> Iterator[Headers]:
    position = 0
    for _block in range(MAX_BLOCKS):
        word = _WORD.search(data, position)
        if word is None:
            return
        start = data.rfind(b"\n", 0, word.start()) + 1
        block, following = read_headers(data, start, len(data))
        if block.fields:
            yield block
        if following <= start:
            # What stands here is no field: skip the line, and read on.
            eol = data.find(b"\n", start)
            following = len(data) if eol < 0 else eol + 1
        position = following


def _read_block(block: Headers, server: str) -> Told:
    diagnostic = clean_line(_typed(block.get("diagnostic-code")), MAX_DIAGNOSTIC_CHARS)
    status = _status(block.get("status"), diagnostic)
    action = _ACTIONS.get(_COMMENT.sub("", block.get("action")).strip().lower())
    if action is None:
        action = _BY_CLASS.get(status[:1], ReportAction.NOTED)
    return Told(
        action=action,
        recipient=address_of(block.get("final-recipient")),
        original=address_of(block.get("original-recipient")),
        status=status,
        diagnostic=diagnostic,
        server=clean_line(_typed(block.get("remote-mta")) or server, 255),
    )


def _status(field: str, diagnostic: str) -> str:
    """The most telling status: many servers write 5.0.0 into the field, and what they mean into the text."""
    given = STATUS.search(field)
    status = given[1] if given else ""
    if status in _UNSPECIFIC:
        said = STATUS.search(diagnostic)
        if said and (not status or said[1][0] == status[0]):
            return said[1]
    return status


def _typed(value: str) -> str:
    """RFC 3464 §2.1.2: `type; value`. Without a type the whole is the value."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and re.fullmatch(r"[A-Za-z0-9 -]{1,40}", kind) else value.strip()


def address_of(value: str) -> str:
    """The address of a recipient field, its type and brackets gone, RFC 6533's embedded characters read."""
    address = _typed(value).strip()
    if "<" in address and ">" in address:
        address = address[address.index("<") + 1 : address.rindex(">")]
    address = _COMMENT.sub("", address).strip()
    return clean_line(_EMBEDDED.sub(_character, address), 320)


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else ""
