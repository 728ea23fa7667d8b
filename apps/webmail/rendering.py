"""What was written, as it is sent: the text, the signature, what is quoted, and the files.

Text and HTML say the same, in this order: what the person wrote, the signature (in the text after `-- `: RFC 3676
§4.3), the message that is answered. A mail that was written without the editor has no HTML.
"""

from dataclasses import dataclass

from apps.accounts.principal import Principal
from apps.mailboxes.selectors import message_for
from apps.mime.document import FONT, Document, DocumentInvalid, document_of, read_document
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.submission.submit import SubmittedAttachment
from apps.webmail.written import WrittenMail
from apps.writing.drafts import draft_for
from apps.writing.errors import WritingInvalid
from apps.writing.files import attachments_of
from apps.writing.phrases import signature_for
from apps.writing.quoting import Quote, quote_of

_PAGE = '<!DOCTYPE html>\n<html>\n<body>\n<div dir="auto" style="{font}">\n{inner}</div>\n</body>\n</html>\n'


@dataclass(frozen=True, slots=True)
class Rendered:
    """`typed` is what the person wrote, without what stands below it."""

    typed: str
    text: str
    html: str
    attachments: tuple[SubmittedAttachment, ...]


def render_written(principal: Principal, written: WrittenMail) -> Rendered:
    """Raises SubmissionInvalid, NotVisible for what the person does not see, and what reading bytes raises."""
    try:
        document = read_document(written.document) if written.document else None
    except DocumentInvalid as error:
        raise SubmissionInvalid("text", f"The editor wrote what we cannot read: {error}.") from error
    signature = document_of(signature_for(principal, written.signs).document) if written.signs else None
    quote = quote_of(message_for(principal, written.quotes)) if written.quotes else None
    typed = document.text if document is not None else written.text
    return Rendered(
        typed=typed,
        text=_text(typed, signature, quote),
        html=_html(document, signature, quote) if document is not None else "",
        attachments=(*_files_of(principal, written, document), *written.attachments),
    )


def _files_of(
    principal: Principal, written: WrittenMail, document: Document | None
) -> tuple[SubmittedAttachment, ...]:
    if not written.draft:
        return ()
    pictures = document.pictures if document is not None else frozenset()
    try:
        return attachments_of(draft_for(principal, written.draft), pictures)
    except WritingInvalid as error:
        raise SubmissionInvalid("attachments", error.reason) from error


def _text(typed: str, signature: Document | None, quote: Quote | None) -> str:
    signed = f"-- \n{signature.text}" if signature is not None else ""
    return "\n\n".join(part for part in (typed.rstrip(), signed, quote.text if quote else "") if part)


def _html(document: Document, signature: Document | None, quote: Quote | None) -> str:
    signed = f'<div style="margin:20px 0 0">\n{signature.html}</div>\n' if signature is not None else ""
    return _PAGE.format(font=FONT, inner=f"{document.html}{signed}{quote.html if quote else ''}")
