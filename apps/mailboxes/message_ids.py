"""Message-IDs that say we made them, and reply addresses made of the same token.

    <token@house.test>                       the Message-ID of a mail we composed
    support+t.token@house.test               where answers to it may be asked to go (`Mailbox.reply_tokens`)

The token is a fresh id with our signature over it and its organisation (`organisations.signed_ids`). Who quotes one has
seen a mail of ours, or was shown it by somebody who had; nobody can have guessed it. It does not say where the mail
belongs: that is looked up, so that answers follow a message that was moved.

The reply address carries the token where a customer's program drops References. It holds because a tag never leads
elsewhere (RFC 5233 §1). The token and the tag's mark take 45 octets of the 64 a local part may have (RFC 5321
§4.5.3.1.1): a mailbox with a longer name than the rest has no reply addresses.

Limits: whoever is forwarded one of our mails holds its token. `threads` therefore never lets a newcomer in unmarked.
"""

import re
import uuid
from dataclasses import dataclass

from apps.mime.compose import make_message_id
from apps.organisations.models import new_id
from apps.organisations.signed_ids import TOKEN, known_secrets, read_id, sign_id

_PURPOSE = "mailboxes.message-id.v1"
_TAG = "+t."
_MESSAGE_ID = re.compile(rf"({TOKEN})@([^@]+)")
_REPLY_ADDRESS = re.compile(rf"[^@+]+{re.escape(_TAG)}({TOKEN})@([^@]+)")
_MAX_LOCAL_OCTETS = 64


@dataclass(frozen=True, slots=True)
class MessageIds:
    """How this platform makes and knows its Message-IDs."""

    secrets: tuple[str, ...]

    def make(self, organisation_id: uuid.UUID, domain: str) -> str:
        """A new Message-ID without its brackets; never the same again."""
        token = sign_id(new_id(), _PURPOSE, self.secrets[0], organisation_id.bytes)
        return make_message_id(domain, token)

    def ours(self, organisation_id: uuid.UUID, message_id: str) -> str:
        """A quoted Message-ID as we wrote it; "" for what we did not make for this organisation."""
        lower = message_id.lower()
        found = _MESSAGE_ID.fullmatch(lower)
        if found is None:
            return ""
        genuine = read_id(found[1], _PURPOSE, self.secrets, organisation_id.bytes)
        return lower if genuine is not None else ""

    def answered_at(self, organisation_id: uuid.UUID, address: str) -> str:
        """The Message-ID of ours that mail to this address answers; "" for an address without such a token."""
        found = _REPLY_ADDRESS.fullmatch(address.lower())
        return self.ours(organisation_id, f"{found[1]}@{found[2]}") if found is not None else ""

    def __repr__(self) -> str:
        return "MessageIds()"


def message_ids() -> MessageIds:
    """The platform's, as its settings have them."""
    return MessageIds(known_secrets())


def reply_address(message_id: str, address: str) -> str:
    """Where answers to this message of ours reach `address` with the token; "" where that cannot be."""
    local, _at, domain = address.rpartition("@")
    found = _MESSAGE_ID.fullmatch(message_id)
    if found is None or found[2] != domain.lower() or "+" in local:
        return ""
    tagged = f"{local}{_TAG}{found[1]}"
    return f"{tagged}@{domain}" if len(tagged.encode()) <= _MAX_LOCAL_OCTETS else ""
