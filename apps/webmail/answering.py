"""Whom an answer goes to, as the composer begins with it."""

from dataclasses import dataclass

from apps.mailboxes.addresses import without_tag
from apps.mailboxes.models import Mailbox, Message
from apps.mime.address import comparable_address, typed_address


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom an answer goes to: `to` at once, `everybody` as Cc when all are answered."""

    to: list[str]
    everybody: list[str]


def recipients_of_answer(mailbox: Mailbox, message: Message) -> Recipients:
    """Reply-To before From (RFC 5322 §3.6.2), and never ourselves. An answer to our own mail goes where that went."""
    own = {comparable_address(mailbox.address)}

    def is_own(address: str) -> bool:
        # Also with a tag, such as a reply address of ours that everybody was written to.
        return without_tag(comparable_address(address)) in own

    wrote = message.reply_to or [{"name": message.sender_name, "address": message.sender_address}]
    is_ours = is_own(message.sender_address)
    to = message.to if is_ours else wrote
    rest = message.cc if is_ours else [*message.to, *message.cc]
    taken = own | {comparable_address(one["address"]) for one in to}
    everybody: list[str] = []
    for one in rest:
        normal = comparable_address(one["address"])
        if normal not in taken and not is_own(normal):
            taken.add(normal)
            everybody.append(typed_address(one["name"], one["address"]))
    return Recipients([typed_address(one["name"], one["address"]) for one in to if one["address"]], everybody)
