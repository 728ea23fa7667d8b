"""What a message looks like once it has been read: the projection that every other room works with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pickle import PickleBuffer

from apps.mime.address import Address
from apps.mime.invitation import Invitation
from apps.mime.remote_images import RemoteImages


class MessageKind(StrEnum):
    """What a message is, by its own structure and headers; nothing here trusts the sender about anything else."""

    MAIL = "mail"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    RECEIPT = "receipt"
    LIST = "list"
    CALENDAR = "calendar"

    def __reduce_ex__(self, protocol: object) -> tuple[type["MessageKind"], tuple[str]]:
        # Python 3.11 before 3.11.4 pickles a member as a call of getattr, which the worker's answers may not hold.
        return (MessageKind, (self.value,))


@dataclass(frozen=True, slots=True)
class ParsedPart:
    """An attachment or an inline image: everything of a message that is not the body chosen for reading.

    `n` counts from 1 in the order of the message and is stable for the same bytes. What was found inside a part (a file
    in a winmail.dat, an attachment of a forwarded message) comes after all others, and `within` is the `n` of that
    part. `filename` is never empty. `inline` means that the HTML shows it by its `content_id`. `data` is decoded; a
    forwarded message keeps its own bytes.
    """

    n: int
    filename: str
    content_type: str
    content_id: str
    inline: bool
    data: bytes
    within: int = 0

    def __reduce_ex__(self, protocol: object) -> tuple[type["ParsedPart"], tuple[object, ...]]:
        # The bytes beside the pickle (PEP 574): in it they would be held twice, and a mail may be large.
        data = PickleBuffer(self.data) if protocol == 5 else self.data
        given = (self.n, self.filename, self.content_type, self.content_id, self.inline, data, self.within)
        return (ParsedPart, given)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A message within the message, forwarded as an attachment or part of a digest. `n` is the part that holds its
    bytes, `text` the bounded beginning of its text, `remote` what its HTML wants from elsewhere.
    """

    n: int
    sender: Address
    to: tuple[Address, ...]
    subject: str
    date: datetime | None
    text: str
    remote: RemoteImages


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """One message, read. Every string in it can be stored in PostgreSQL and shown on one line, bodies aside.

    Message ids stand without their brackets. `text` is the whole readable text, `new_text` the same without
    what the writer only quoted, `html` is sanitised, `date` is UTC. `defects` are short reasons for what
    had to be repaired. `handling` are the header fields that say how a mail wants to be treated, by
    lower-case name (`handling.py`). `enclosed` are the messages within it, `invitation` what its calendar part
    says, and `remarks` codes for what a reader should be told of it (`protection.py`, `unwrap.py`). `unsubscribe` is
    how the list that it came by can be left (`list_headers.py`).
    """

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    date: datetime | None
    text: str
    new_text: str
    html: str
    snippet: str
    parts: tuple[ParsedPart, ...]
    kind: MessageKind
    auto_submitted: str
    defects: tuple[str, ...]
    has_remote_images: bool
    handling: tuple[tuple[str, str], ...] = ()
    enclosed: tuple[Enclosed, ...] = ()
    invitation: Invitation | None = None
    remarks: tuple[str, ...] = ()
    unsubscribe: tuple[str, str, bool] | None = None
