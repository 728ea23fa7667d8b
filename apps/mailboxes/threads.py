"""Which conversation a message belongs to. The first of these that holds:

    1. it quotes a Message-ID that we signed, or came to a reply address made of one: that mail's conversation.
       A sender who had no part in it joins as a new participant, marked as one wherever the message is shown
    2. it quotes a message this organisation knows, and its sender took part in that conversation (wrote in it, or was
       written to), or it came over the same mailing list. Anybody can write a list's name into a mail, so that makes a
       new participant, too
    3. nothing: a new conversation. Where a stranger quoted a message we know, the row says of which conversation, and
       a person joins them with one click

In-Reply-To before References, and of those the newest first (RFC 5322 §3.6.4). Subjects never decide: strangers who
answer the same newsletter would meet in one ticket. That one has changed is kept, so that a person can split.

A Message-ID of somebody else's can be known to anybody (archives of lists show them), so quoting it proves nothing;
ours were shown only to those we wrote to, and to whom they passed it on.

Mails that are filed together are looked up together, and their conversations locked before any of them is chosen;
then each is chosen for in its turn, and finds those before it, which are written with it.

Limits: who took part is decided by From. Where its domain says nothing of who may write in its name (no DMARC), a
forged one counts; sender authentication tells that beside the message. Two conversations quoted by one mail are not
joined.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from apps.mailboxes.filing import Filed, FiledRule
from apps.mailboxes.message_ids import MessageIds, message_ids
from apps.mailboxes.models import Direction, Message, Thread, digest_of_message_id
from apps.mailboxes.quoted import known_messages, locked_threads_of, took_part
from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.subjects import is_another_subject

# A mail may quote thousands; conversations are found by the nearest.
MAX_QUOTED = 100
# Whose word is taken for a Message-ID: ours before what others sent under its name. As `quoted` asks for it.
_OURS_FIRST = (Direction.OUT, Direction.LOCAL, Direction.IN)


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """`begins`: the conversation was made for this message, and is written with it. `answers`: what led to it."""

    thread: Thread
    because: Filed
    begins: bool = False
    answers: Message | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """A mail that may belong to a conversation. `is_forged`: its From is not who sent it (DMARC), and so no proof of
    having taken part."""

    organisation_id: uuid.UUID
    parsed: ParsedMessage
    is_forged: bool = False

    @property
    def list_id(self) -> str:
        """RFC 2919: whoever writes on a list writes to everybody on it, whom no field names."""
        return dict(self.parsed.handling).get("list-id", "")


@dataclass(frozen=True, slots=True)
class _Named:
    """A Message-ID that a mail answers. `signed`: it proves that it was shown that mail, which is ours."""

    key: tuple[uuid.UUID, uuid.UUID]
    rule: FiledRule
    signed: bool


@dataclass(frozen=True, slots=True)
class _Quoted:
    """A message of this organisation that a mail answers."""

    message: Message
    rule: FiledRule
    signed: bool


def choose_thread(
    organisation_id: uuid.UUID, parsed: ParsedMessage, *, is_forged: bool = False
) -> ThreadChoice:
    """The conversation of a message, in the caller's transaction; an existing one is locked until it ends.

    The lock makes two answers that arrive together see each other, so that they share one ticket.
    """
    mail = Answering(organisation_id, parsed, is_forged)
    return Choosing([mail]).choose(mail)


class Choosing:
    """Chooses for some mails, in one transaction of the caller's.

    What will be asked is asked ahead, for all of them together, and what is joined is locked in one go. What only turns
    out on the way, since one mail of them changes what is true for the next, is asked when it does.
    """

    def __init__(self, mails: Sequence[Answering]) -> None:
        ids = message_ids()
        self._named = {id(mail): list(_named_in(mail, ids)) for mail in mails}
        self._known = known_messages({one.key for named in self._named.values() for one in named})
        self._parts: dict[tuple[uuid.UUID, str], bool] = {}
        self._on_list: dict[tuple[uuid.UUID, str], bool] = {}
        self._locked: dict[uuid.UUID, Thread] = {}
        self._beside: defaultdict[uuid.UUID, list[Message]] = defaultdict(list)
        self._ask_ahead(mails)

    def choose(self, mail: Answering) -> ThreadChoice:
        """The conversation of one of the mails."""
        quoted = self._quoted(mail)
        closed: set[uuid.UUID] = set()
        for one in quoted:
            if one.message.thread_id in closed:
                continue  # a stranger may quote a hundred messages of one conversation
            choice = self._joined(one, mail)
            if choice is not None:
                return choice
            closed.add(one.message.thread_id)
        thread = Thread(organisation_id=mail.organisation_id, subject=mail.parsed.subject)
        if not quoted:
            return ThreadChoice(thread, Filed(FiledRule.STARTS), begins=True)
        nearest = quoted[0].message
        data = {"message_id": nearest.rfc_message_id, "message": str(nearest.pk)}
        return ThreadChoice(thread, Filed(FiledRule.STRANGER, data), begins=True)

    def remember(self, message: Message) -> None:
        """What was made of one of the mails, and is not written yet: those after it find it."""
        key = message.organisation_id, message.rfc_message_id_digest
        known = self._known.get(key)
        if known is None or _goes_before(message, known):
            self._known[key] = message
        self._beside[message.thread_id].append(message)
        self._locked[message.pk] = message.thread

    def _quoted(self, mail: Answering) -> list[_Quoted]:
        return [
            _Quoted(self._known[one.key], one.rule, one.signed)
            for one in self._named[id(mail)]
            if one.key in self._known
        ]

    def _joined(self, quoted: _Quoted, mail: Answering) -> ThreadChoice | None:
        """The conversation of the quoted message, where this mail may join it."""
        thread = self._locked_thread_of(quoted.message) if quoted.signed else quoted.message.thread
        if not self._may_join(quoted, thread, mail):
            return None
        known = self._took_part(thread, mail)
        rule = quoted.rule if quoted.signed or known else FiledRule.ON_THE_LIST
        if not quoted.signed:
            thread = self._locked_thread_of(quoted.message)
        because = Filed(rule, {"message_id": quoted.message.rfc_message_id}, new_participant=not known)
        if mail.parsed.kind == MessageKind.MAIL and is_another_subject(
            mail.parsed.subject, thread.subject, quoted.message.subject
        ):
            because = because.with_data(subject_changed=True)
        return ThreadChoice(thread, because, answers=quoted.message)

    def _may_join(self, quoted: _Quoted, thread: Thread, mail: Answering) -> bool:
        if quoted.signed or (not mail.is_forged and self._took_part(thread, mail)):
            return True
        return self._same_list(thread, mail)

    def _took_part(self, thread: Thread, mail: Answering) -> bool:
        address = mail.parsed.sender.address
        if not address:
            return False
        if any(_names(message, address) for message in self._beside[thread.pk]):
            return True
        if (thread.pk, address) not in self._parts and not thread.is_new:
            self._ask({(thread.pk, address)})
        return self._parts.get((thread.pk, address), False)

    def _same_list(self, thread: Thread, mail: Answering) -> bool:
        list_id = mail.list_id
        if not list_id:
            return False
        if any(
            not message.new_participant and message.handling.get("list-id") == list_id
            for message in self._beside[thread.pk]
        ):
            return True
        if (thread.pk, list_id) not in self._on_list and not thread.is_new:
            self._ask(set(), {(thread.pk, list_id)})
        return self._on_list.get((thread.pk, list_id), False)

    def _locked_thread_of(self, message: Message) -> Thread:
        if message.pk not in self._locked:
            self._locked |= locked_threads_of([message])
        return self._locked[message.pk]

    # asking ahead

    def _ask_ahead(self, mails: Sequence[Answering]) -> None:
        answers = [(mail, one) for mail in mails for one in self._quoted(mail)]
        proven = {id(mail) for mail, one in answers if one.signed}
        unproven = [(mail, one) for mail, one in answers if id(mail) not in proven]
        self._ask(
            {(one.message.thread_id, mail.parsed.sender.address) for mail, one in unproven},
            {(one.message.thread_id, mail.list_id) for mail, one in unproven},
        )
        likely: dict[int, tuple[Answering, _Quoted]] = {}
        for mail, one in answers:
            if id(mail) not in likely and self._may_join(one, one.message.thread, mail):
                likely[id(mail)] = mail, one
        self._locked |= locked_threads_of([one.message for _mail, one in likely.values()])
        # What a proof of having been shown our mail leads to is looked at when nobody can change it any more.
        self._ask(
            {
                (self._locked[one.message.pk].pk, mail.parsed.sender.address)
                for mail, one in likely.values()
                if one.signed
            }
        )

    def _ask(
        self, people: Collection[tuple[uuid.UUID, str]], lists: Collection[tuple[uuid.UUID, str]] = ()
    ) -> None:
        people = [one for one in people if one[1]]
        lists = [one for one in lists if one[1]]
        took, over = took_part(people, lists)
        self._parts |= {one: one in took for one in people}
        self._on_list |= {one: one in over for one in lists}


def _named_in(mail: Answering, ids: MessageIds) -> Iterator[_Named]:
    """The Message-IDs that a mail answers: those it proves to have been shown first, each kind nearest first."""
    parsed = mail.parsed
    named = [*parsed.in_reply_to, *reversed(parsed.references)][:MAX_QUOTED]
    by_rule: dict[str, FiledRule] = {}
    for message_id in named:
        if ours := ids.ours(mail.organisation_id, message_id):
            by_rule.setdefault(ours, FiledRule.ANSWERS_OURS)
    for address in (*parsed.to, *parsed.cc):
        if ours := ids.answered_at(mail.organisation_id, address.address):
            by_rule.setdefault(ours, FiledRule.ANSWERS_TOKEN)
    signed = set(by_rule)
    for message_id in named:
        by_rule.setdefault(message_id, FiledRule.ANSWERS_KNOWN)
    for message_id, rule in by_rule.items():
        yield _Named(
            (mail.organisation_id, digest_of_message_id(message_id)), rule, signed=message_id in signed
        )


def _goes_before(one: Message, other: Message) -> bool:
    """Which of two messages with one Message-ID is meant by it, as `quoted` asks for it."""
    places = [(_OURS_FIRST.index(Direction(each.direction)), each.received_at) for each in (one, other)]
    return places[0] < places[1]


def _names(message: Message, address: str) -> bool:
    """Whether a message makes somebody part of its conversation: `quoted.took_part`, before it is written."""
    people = chain(message.to, message.cc, message.bcc, message.reply_to)
    same = address.lower()
    return not message.new_participant and (
        message.sender_address.lower() == same or any(one["address"].lower() == same for one in people)
    )
