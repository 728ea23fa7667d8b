"""Read a message: hostile bytes in, a clean `ParsedMessage` out.

`parse` never raises and its work is bounded, whatever the bytes are: structure, headers, texts and HTML
each stop at a limit and leave a defect that says so. It is meant to run in a process that can be killed
(`bounded`), because native code beneath it may still surprise. `parse_as_text` is what remains then: it
uses nothing but slicing and decoding.

What does not fit a bound is never lost: where the structure or what is read had to be cut short, the whole message
becomes a part.
"""

from itertools import islice

from apps.mime.address import Address, parse_addresses
from apps.mime.bodies import Choice, choose_bodies
from apps.mime.charset import decode_text
from apps.mime.clean import clean_line, clean_text
from apps.mime.files import files_of
from apps.mime.handling import read_handling
from apps.mime.headers import Headers, message_ids, parse_date, read_headers
from apps.mime.html import MAX_HTML_CHARS, has_remote_images, sanitise_html, shown_cids
from apps.mime.invitation import Invitation, is_calendar, read_invitation
from apps.mime.kind import read_auto_submitted, recognise_kind
from apps.mime.list_headers import read_unsubscribe
from apps.mime.message import Enclosed, MessageKind, ParsedMessage, ParsedPart
from apps.mime.protection import protection_of_text
from apps.mime.quotes import split_quotes
from apps.mime.structure import Entity, read_structure
from apps.mime.text import MAX_TEXT_CHARS, html_to_text
from apps.mime.unwrap import Unwrapped, sender_of, subject_of, unwrap

TEXT_CUT = "text cut at its limit"
HTML_CUT = "html cut at its limit"
READ_AS_TEXT = "read as plain text"

MAX_SNIPPET_CHARS = 200
_FALLBACK_TEXT_BYTES = 200_000
_MAX_CALENDARS = 5
_REPORTS = frozenset({MessageKind.BOUNCE, MessageKind.COMPLAINT, MessageKind.RECEIPT})


def parse(raw: bytes) -> ParsedMessage:
    """Read a message (RFC 5322, MIME) of any quality. Never raises; repairs are named in `defects`."""
    structure = read_structure(raw)
    choice = choose_bodies(structure)
    kind = _kind(structure.root)
    unwrapped = unwrap(
        structure,
        files_of(structure, choice),
        wants_body=not any((body.text or body.html or "").strip() for body in choice.bodies),
        is_report=kind in _REPORTS,
    )
    choice.bodies += unwrapped.bodies
    html = _join_html(choice)
    text = _join_text(choice, html)
    parts = _parts(unwrapped, html)
    if structure.complete and {TEXT_CUT, HTML_CUT}.intersection(choice.defects):
        parts += (_whole(raw, len(parts) + 1),)
    unwrapped.remarks |= dict.fromkeys(filter(None, [protection_of_text(text)]))
    return _message(
        structure.root.headers,
        text=text,
        html=html,
        parts=parts,
        kind=unwrapped.kind if unwrapped.kind and kind == MessageKind.MAIL else kind,
        defects=dict.fromkeys([*structure.defects, *choice.defects, *unwrapped.defects]),
        enclosed=tuple(unwrapped.enclosed),
        invitation=_invitation(unwrapped),
        remarks=tuple(unwrapped.remarks),
    )


def parse_as_text(raw: bytes) -> ParsedMessage:
    """The last resort for a message that `parse` could not be let finish.

    Headers, a bounded plain text, and the whole message as its only part. Never raises, and does no work that grows
    faster than the message.
    """
    headers, body_start = read_headers(raw, 0, len(raw))
    data = raw[body_start : body_start + _FALLBACK_TEXT_BYTES]
    text = clean_text(data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")).strip("\n")
    return _message(
        headers,
        text=text,
        html="",
        parts=(_whole(raw, 1),),
        kind=MessageKind.MAIL,
        defects={READ_AS_TEXT: None},
    )


def _whole(raw: bytes, n: int) -> ParsedPart:
    return ParsedPart(n, "message.eml", "message/rfc822", "", inline=False, data=raw)


def _message(
    headers: Headers,
    *,
    text: str,
    html: str,
    parts: tuple[ParsedPart, ...],
    kind: MessageKind,
    defects: dict[str, None],
    enclosed: tuple[Enclosed, ...] = (),
    invitation: Invitation | None = None,
    remarks: tuple[str, ...] = (),
) -> ParsedMessage:
    new_text = split_quotes(text).new_text
    # A mail that only forwards, or only invites, is previewed by that.
    preview = new_text or text or next((one.text or one.subject for one in enclosed), "")
    own_ids = message_ids(headers.get("message-id"))
    return ParsedMessage(
        message_id=own_ids[0] if own_ids else "",
        in_reply_to=message_ids(headers.get("in-reply-to")),
        references=message_ids(headers.get("references")),
        sender=sender_of(headers),
        to=_addresses(headers, "to"),
        cc=_addresses(headers, "cc"),
        bcc=_addresses(headers, "bcc"),
        reply_to=_addresses(headers, "reply-to"),
        subject=subject_of(headers),
        date=parse_date(headers.get("date")),
        text=text,
        new_text=new_text,
        html=html,
        snippet=_snippet(preview or (invitation.summary if invitation else "")),
        parts=parts,
        kind=kind,
        auto_submitted=clean_line(read_auto_submitted(headers)),
        defects=tuple(defects),
        has_remote_images=has_remote_images(html),
        handling=read_handling(headers),
        enclosed=enclosed,
        invitation=invitation,
        remarks=remarks,
        unsubscribe=read_unsubscribe(headers),
    )


def _addresses(headers: Headers, name: str) -> tuple[Address, ...]:
    # RFC 5322 §3.6 allows one field of each; of several, none may hide recipients from the reader.
    return parse_addresses(", ".join(headers.all(name)))


def _snippet(text: str) -> str:
    line = clean_line(text[: MAX_SNIPPET_CHARS * 10], MAX_SNIPPET_CHARS + 1)
    if len(line) <= MAX_SNIPPET_CHARS:
        return line
    cut = line[: MAX_SNIPPET_CHARS - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip(" ,;:-") + "…"


def _join_text(choice: Choice, html: str) -> str:
    if html and not any((body.text or "").strip() for body in choice.bodies):
        return html_to_text(html)
    pieces = []
    for body in choice.bodies:
        only_html = body.html is not None and not (body.text or "").strip()
        pieces.append(html_to_text(sanitise_html(body.html or "")) if only_html else body.text or "")
    text = "\n\n".join(piece.strip("\n") for piece in pieces if piece.strip())
    if len(text) > MAX_TEXT_CHARS:
        choice.defects.append(TEXT_CUT)
    return text[:MAX_TEXT_CHARS]


def _join_html(choice: Choice) -> str:
    if all(body.html is None for body in choice.bodies):
        return ""
    joined = "<br>".join(body.as_html() for body in choice.bodies)
    if len(joined) > MAX_HTML_CHARS:
        choice.defects.append(HTML_CUT)
    return sanitise_html(joined.strip())


def _parts(unwrapped: Unwrapped, html: str) -> tuple[ParsedPart, ...]:
    shown = set(shown_cids(html)) - {""}
    parts = []
    for placed in unwrapped.placed:
        file = placed.file
        inline = placed.shown or file.content_id in shown
        # Of two with one Content-ID the first is meant; the other would be seen nowhere.
        shown.discard(file.content_id)
        parts.append(
            ParsedPart(
                n=placed.n,
                filename=placed.filename,
                content_type=file.content_type,
                content_id=file.content_id,
                inline=inline,
                data=file.data,
                within=placed.within,
            )
        )
    return tuple(parts)


def _invitation(unwrapped: Unwrapped) -> Invitation | None:
    """Of the message's own calendars the first that can be read; one within a forwarded message invites nobody here."""
    calendars = (
        placed.file
        for placed in unwrapped.placed
        if not placed.within and is_calendar(placed.file.content_type, placed.file.filename)
    )
    found = (read_invitation(decode_text(file.data)[0]) for file in islice(calendars, _MAX_CALENDARS))
    return next((one for one in found if one is not None), None)


def _kind(root: Entity) -> MessageKind:
    headers = root.headers
    leaves = [(leaf.content_type, leaf.parameters) for leaf in _walk(root)]
    return recognise_kind(headers, root.parameters, leaves, read_auto_submitted(headers))


def _walk(entity: Entity) -> list[Entity]:
    return [entity, *(leaf for child in entity.children for leaf in _walk(child))]
