"""Whom an answer goes to, as the composer begins with it, and whom an answer to everybody leaves out.

Limits: what takes no answers is known by its name alone (`no-reply@` and its like); a mailing list is answered as any
address, because only its readers know whether they mean it.
"""

import re
from dataclasses import dataclass, field

from apps.mailboxes.addresses import without_tag
from apps.mailboxes.models import Mailbox, Message, OwnedAddress
from apps.mime.address import comparable_address, typed_address

_TAKES_NO_ANSWER = re.compile(r"(?:do[-_.]?)?not?[-_.]?reply\b.*|mailer-daemon", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom an answer goes to: `to` at once, `everybody` as Cc when all are answered. `left_out` are addresses that
    took part and stand in neither."""

    to: list[str]
    everybody: list[str]
    left_out: list[str] = field(default_factory=list)


def recipients_of_answer(mailbox: Mailbox, message: Message) -> Recipients:
    """Reply-To before From (RFC 5322 §3.6.2), and never ourselves. An answer to our own mail goes where that went."""
    addresses = OwnedAddress.objects.filter(mailbox=mailbox).values_list("address", flat=True)
    own = {comparable_address(mailbox.address), *addresses}

    def is_own(address: str) -> bool:
        # Also with a tag, such as a reply address of ours that everybody was written to.
        return not own.isdisjoint({address, without_tag(address)})

    wrote = message.reply_to or [{"name": message.sender_name, "address": message.sender_address}]
    is_ours = is_own(comparable_address(message.sender_address))
    to = message.to if is_ours else wrote
    rest = message.cc if is_ours else [*message.to, *message.cc]
    taken = {comparable_address(one["address"]) for one in to}
    everybody, left_out = list[str](), list[str]()
    for one in rest:
        normal = comparable_address(one["address"])
        if normal in taken:
            continue
        taken.add(normal)
        if is_own(normal) or _TAKES_NO_ANSWER.fullmatch(normal.rpartition("@")[0]):
            left_out.append(one["address"])
        else:
            everybody.append(typed_address(one["name"], one["address"]))
    begun = [typed_address(one["name"], one["address"]) for one in to if one["address"]]
    return Recipients(begun, everybody, left_out)
