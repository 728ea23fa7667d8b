"""May a mail get an automatic answer? RFC 3834, and what helpdesks have learned since.

Pure: facts in, the reason against it out, or None. Everything here errs on the side of silence. A customer who gets no
acknowledgement still gets an answer; two programs that acknowledge each other never stop, and an acknowledgement that
can be sent to anybody is a spam relay.

The first rule that speaks is the reason that is kept and shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import models
from django.utils.translation import gettext_lazy as _


class Because(models.TextChoices):
    """Why no acknowledgement was sent. Stored and published, so the codes never change."""

    FROM_OURSELVES = "from_ourselves", _("It came from an address of your own.")
    NULL_SENDER = "null_sender", _("Its envelope names no sender, as of a bounce or a notice.")
    NO_ENVELOPE = "no_envelope", _("It did not come over SMTP, so nobody knows where it came from.")
    NOT_A_PERSON = "not_a_person", _("It is an automatic answer, a bounce, a report or a receipt.")
    AUTOMATIC = "automatic", _("It says that a program sent it.")
    FROM_A_LIST = "from_a_list", _("It came from a mailing list or a newsletter.")
    SENT_IN_BULK = "sent_in_bulk", _("It says that it was sent in bulk.")
    ASKS_FOR_NONE = "asks_for_none", _("It asks for no automatic answer.")
    SENDER_IS_A_ROLE = "sender_is_a_role", _("Its sender is a program’s address, such as no-reply.")
    NO_ADDRESS = "no_address", _("It names no address that an answer could go to.")
    FORGED = "forged", _("The domain of its sender says that the mail is not from there (DMARC).")
    TOO_MANY = "too_many", _("Its sender got enough acknowledgements within a day.")
    TOO_MANY_TODAY = "too_many_today", _("The mailbox sent enough acknowledgements within a day.")
    TOO_LATE = "too_late", _("It could not be sent within a day of the mail.")
    SWITCHED_OFF = "switched_off", _("Acknowledgements were switched off before it could be sent.")


@dataclass(frozen=True, slots=True)
class OpeningMail:
    """The mail that opened a ticket. `headers` are mime's handling fields; `answer_to` is normalised, "" for none.

    `envelope_sender` is MAIL FROM: "" for `<>`, None where no SMTP transaction brought the mail.
    """

    kind: str
    headers: Mapping[str, str]
    envelope_sender: str | None
    answer_to: str
    is_ours: bool


_UNANSWERED_KINDS = frozenset({"bounce", "complaint", "receipt", "auto_reply"})
_LIST_FIELDS = ("list-id", "list-post", "list-unsubscribe")
# Microsoft's MS-OXCMAIL §2.1.3.2.20: which automatic answers a sender does not want.
_SUPPRESSED = frozenset({"all", "autoreply", "oof"})
# RFC 3834 §2, and the names under which nobody reads.
_ROLES = frozenset(
    {"mailer-daemon", "postmaster", "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "bounce",
     "bounces", "daemon", "root", "nobody"}
)  # fmt: skip


def why_unanswered(mail: OpeningMail) -> Because | None:
    """The reason why this mail gets no automatic answer, or None when it may have one."""
    return next((because for because, speaks in _RULES if speaks(mail)), None)


def _says_automatic(mail: OpeningMail) -> bool:
    """RFC 3834 §2 and §5: anything but "no", be it auto-generated, auto-replied, or a word we do not know."""
    keyword = mail.headers.get("auto-submitted", "").partition(";")[0].partition("(")[0].strip().lower()
    return keyword not in {"", "no"}


def _is_from_a_list(mail: OpeningMail) -> bool:
    return mail.kind == "list" or any(name in mail.headers for name in _LIST_FIELDS)


def _is_bulk(mail: OpeningMail) -> bool:
    return mail.headers.get("precedence", "").strip().lower() in {"bulk", "junk", "list"}


def _asks_for_none(mail: OpeningMail) -> bool:
    asked = {word.strip() for word in mail.headers.get("x-auto-response-suppress", "").lower().split(",")}
    return bool(asked & _SUPPRESSED) or "x-loop" in mail.headers


def _is_from_a_role(mail: OpeningMail) -> bool:
    return _is_role(_without_return_path(mail.envelope_sender or "")) or _is_role(mail.answer_to)


def _without_return_path(address: str) -> str:
    """Nothing for a return path made for one mail (VERP): people's mail has one too, ours among it."""
    return "" if "+" in address.rpartition("@")[0] else address


def _is_role(address: str) -> bool:
    local = address.rpartition("@")[0].lower()
    # RFC 3834 §2: owner-LIST and LIST-request are lists' own addresses.
    return local.partition("+")[0] in _ROLES or local.startswith("owner-") or local.endswith("-request")


_RULES: tuple[tuple[Because, Callable[[OpeningMail], bool]], ...] = (
    (Because.FROM_OURSELVES, lambda mail: mail.is_ours),
    (Because.NO_ENVELOPE, lambda mail: mail.envelope_sender is None),
    (
        Because.NULL_SENDER,
        lambda mail: mail.envelope_sender == "",
    ),  # RFC 3834 §2: never to the null return path
    (Because.NOT_A_PERSON, lambda mail: mail.kind in _UNANSWERED_KINDS),
    (Because.AUTOMATIC, _says_automatic),
    (Because.FROM_A_LIST, _is_from_a_list),
    (Because.SENT_IN_BULK, _is_bulk),
    (Because.ASKS_FOR_NONE, _asks_for_none),
    (Because.SENDER_IS_A_ROLE, _is_from_a_role),
    (Because.NO_ADDRESS, lambda mail: not mail.answer_to),
)
