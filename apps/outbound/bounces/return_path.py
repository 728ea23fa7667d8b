"""The return path of one delivery: an address that says which recipient a bounce is about, and that we made it.

    bounce+<delivery, 26 letters><signature, 16 letters>@house.test

Mail that cannot be delivered goes back to MAIL FROM (RFC 5321 §4.4), and whoever reports a failure may quote as little
of the mail as they like: the address alone tells (VERP, D. J. Bernstein 1997). The signature keeps strangers from
inventing failures (`organisations.signed_ids`). 49 octets of the 64 that RFC 5321 §4.5.3.1.1 allows.

The domain is the From's own, so that SPF aligns with it (RFC 7489 §3.1.2); RETURN_PATH_DOMAIN puts another in its place
where one MX for bounces is wanted. It must lead to our listener.

What answers by itself is sent from the null path (RFC 3834 §3.3): its bounce goes nowhere, and so no two machines can
keep each other busy.

Limits: a return path is good until `ReturnPaths.good_for` after the delivery's own lifetime; a report later than that
is refused like an unknown address.
"""

import functools
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from apps.mailboxes.models import MessageKind
from apps.mime.address import InvalidAddress, normalise_address
from apps.organisations.signed_ids import TOKEN, known_secrets, read_id, sign_id

PREFIX = "bounce+"
NULL_PATH = ""
_TOKEN = re.compile(TOKEN)
_PURPOSE = "outbound.return-path.v1"

# RFC 3834 §3.3 and RFC 3464 §2: answers of machines, and reports of any kind.
_FROM_THE_NULL_PATH = frozenset({MessageKind.AUTO_REPLY, MessageKind.BOUNCE, MessageKind.RECEIPT})


def return_path_of(delivery_id: uuid.UUID, domain: str, secret: str) -> str:
    """The signed return path of a delivery."""
    return f"{PREFIX}{sign_id(delivery_id, _PURPOSE, secret)}@{domain}"


def looks_like_return_path(address: str) -> bool:
    """Whether an address has the shape of one of ours, genuine or not."""
    local = address.rpartition("@")[0].lower()
    return local.startswith(PREFIX) and _TOKEN.fullmatch(local.removeprefix(PREFIX)) is not None


def delivery_of(address: str, secrets: Sequence[str]) -> uuid.UUID | None:
    """Whose return path this is; None for what we did not sign with any of `secrets`."""
    if not looks_like_return_path(address):
        return None
    return read_id(address.rpartition("@")[0].lower().removeprefix(PREFIX), _PURPOSE, secrets)


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """How this platform makes and knows its return paths. `domain` is "" where each From's own is used.

    The first of `secrets` signs; the others were used before it (SECRET_KEY_FALLBACKS).
    """

    secrets: tuple[str, ...]
    domain: str = ""
    good_for: timedelta = timedelta(days=90)

    def of(self, delivery_id: uuid.UUID, sender: str, kind: str = MessageKind.MAIL) -> str:
        """What MAIL FROM says for a delivery of a message from `sender`; "" is the null path."""
        if kind in _FROM_THE_NULL_PATH:
            return NULL_PATH
        domain = self.domain or _domain_of(sender)
        return return_path_of(delivery_id, domain, self.secrets[0]) if domain else NULL_PATH

    def delivery_of(self, address: str) -> uuid.UUID | None:
        """Whose return path this is, or None."""
        return delivery_of(address, self.secrets)

    def __repr__(self) -> str:
        return f"ReturnPaths(domain={self.domain!r})"


def return_paths() -> ReturnPaths:
    """The platform's, as its settings have them."""
    return ReturnPaths(secrets=known_secrets(), domain=settings.RETURN_PATH_DOMAIN)


@functools.lru_cache(maxsize=1024)
def _domain_of(sender: str) -> str:
    """A sender's domain in ASCII; "" for what is no address."""
    try:
        return normalise_address(sender).rpartition("@")[2]
    except InvalidAddress:
        return ""
