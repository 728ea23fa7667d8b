"""Finding conversations, messages and tickets by what somebody asks for (`mailboxes.operators`).

Words become one question to the index of messages; the other operators become conditions on where a message lies and
on its ticket. A message must match as a whole: `is:unread from:elena` is an unread mail of Elena's, and its
conversation is found by it. What is said of tickets and labels is said of the conversation.

Of a mailbox's conversations Spam and Trash are left out, unless `in:` names them.

Limits: what is asked for by nothing but a `-`, or by one digit or letter that is not finished, looks at many mails: a
third of a second among a million. A conversation that came back from being snoozed counts for `before:` and `after:`
as of that moment.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from django.contrib.postgres.search import SearchQuery
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import User
from apps.accounts.principal import Principal
from apps.mailboxes.conversations import Page, Position, conversations_among, heads
from apps.mailboxes.models import ConversationLabel, Folder, Label, Mailbox, MailboxEntry, Message
from apps.mailboxes.operators import ANYWHERE, ATTACHMENT, Asked, Clause, Kind, read_query
from apps.mailboxes.search import ANY_FILE, Mark, fold, phrase_asked, query_for, words_asked
from apps.mailboxes.selectors import entries_for
from apps.tickets.models import Mention, Ticket

ME = "me"
NOBODY = frozenset({"none", "nobody"})
_MARKS = {Kind.FROM: Mark.FROM, Kind.TO: Mark.TO, Kind.SUBJECT: Mark.SUBJECT, Kind.HAS: Mark.HAS}
_OF_THE_MESSAGE = frozenset({Kind.WORDS, *_MARKS})
_TICKET_STATES = frozenset({"open", "pending", "solved"})


def find_conversations(
    principal: Principal, mailbox: Mailbox, asked: Asked, *, before: Position | None = None
) -> Page:
    """A page of the mailbox's conversations that match, newest first. Nothing for a search that asks for nothing."""
    if not asks(asked):
        return Page([], None)
    return conversations_among(mailbox, matching_entries(principal, mailbox, asked), before=before)


def all_found(
    principal: Principal, mailbox: Mailbox, folder: Folder, asked: Asked | None, *, limit: int
) -> list[uuid.UUID]:
    """The newest `limit` conversations of a folder, or of all that a search finds: their threads."""
    if asked is None:
        newest = heads(mailbox, folder).order_by("-sorted_at", "-id")
        return list(newest.values_list("thread_id", flat=True)[:limit])
    if not asks(asked):
        return []
    entries = matching_entries(principal, mailbox, asked).order_by("-sorted_at", "-id")
    # A conversation may match by several of its messages; few have more than four that do.
    found = dict.fromkeys(entries.values_list("thread_id", flat=True)[: 4 * limit])
    return list(found)[:limit]


def matching_entries(principal: Principal, mailbox: Mailbox, asked: Asked) -> QuerySet[MailboxEntry]:
    """What matches, in a mailbox the caller has been given by `mailbox_for`; nothing of Spam and Trash unasked."""
    entries = MailboxEntry.objects.filter(_conditions(principal, asked), mailbox=mailbox)
    if not any(not clause.negated for clause in asked.of(Kind.IN)):
        entries = entries.exclude(folder__in=[Folder.SPAM, Folder.TRASH])
    words = _words(asked)
    return entries if words is None else entries.filter(message__search=words)


def find_messages(
    principal: Principal, messages: QuerySet[Message], text: str, now: datetime
) -> QuerySet[Message]:
    """Those of the caller's messages that match, wherever they lie; none for a text that asks for nothing."""
    asked = read_query(text, now)
    if not asks(asked):
        return messages.none()
    words = _words(asked)
    if words is not None:
        messages = messages.filter(search=words)
    if {clause.kind for clause in asked.clauses} <= _OF_THE_MESSAGE:
        return messages
    lies = entries_for(principal).filter(_conditions(principal, asked), message=OuterRef("pk"))
    return messages.filter(Exists(lies))


def find_tickets(
    principal: Principal, tickets: QuerySet[Ticket], text: str, now: datetime
) -> QuerySet[Ticket]:
    """Those of the caller's tickets that match: by their number (`#12` or `12`), or by a message of theirs."""
    number = text.strip().removeprefix("#")
    by_number = Q(number=int(number)) if number.isdecimal() and len(number) < 19 else Q()
    asked = read_query(text, now)
    if not asks(asked):
        return tickets.none()
    entries = MailboxEntry.objects.filter(
        _conditions(principal, asked), mailbox=OuterRef("mailbox"), thread=OuterRef("thread")
    )
    words = _words(asked)
    if words is not None:
        entries = entries.filter(message__search=words)
    return tickets.filter(by_number | Q(Exists(entries)))


def asks(asked: Asked) -> bool:
    """Whether there is anything to look for: `…` has no words."""
    return any(clause.kind not in _OF_THE_MESSAGE or _in_the_index(clause) for clause in asked.clauses)


def _words(asked: Asked) -> SearchQuery | None:
    return query_for(_in_the_index(clause) for clause in asked.clauses if clause.kind in _OF_THE_MESSAGE)


def _in_the_index(clause: Clause) -> str:
    """One clause as PostgreSQL reads it."""
    if clause.kind == Kind.HAS and clause.value == ATTACHMENT:
        found = words_asked(ANY_FILE, Mark.HAS)
    elif clause.quoted and clause.kind == Kind.WORDS:
        found = phrase_asked(clause.value)
    else:
        found = words_asked(clause.value, _MARKS.get(clause.kind), unfinished=clause.unfinished)
    return f"!({found})" if clause.negated and found else found


def _conditions(principal: Principal, asked: Asked) -> Q:
    """What must hold of an entry beside the words in its message."""
    condition = Q()
    people = _People(principal)
    for clause in asked.clauses:
        if clause.kind in _OF_THE_MESSAGE or clause.kind == Kind.IN:
            continue
        wanted = _CONDITIONS[clause.kind](clause, people)
        condition &= ~wanted if clause.negated else wanted
    return condition & _places(asked.of(Kind.IN))


def _places(clauses: Iterable[Clause]) -> Q:
    wanted: list[str] = []
    unwanted: list[str] = []
    for clause in clauses:
        (unwanted if clause.negated else wanted).append(clause.value)
    condition = Q() if not wanted or ANYWHERE in wanted else Q(folder__in=wanted)
    return condition & ~Q(folder__in=unwanted) if unwanted else condition


class _People:
    """Whom a name means, asked once for each search."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self._known: list[User] | None = None

    def called(self, name: str) -> list[uuid.UUID]:
        """The colleagues of this name, of this beginning of one, or of this address; several, if it fits several."""
        user = self.principal.user
        if fold(name) == ME:
            return [user.pk] if user is not None else []
        if self._known is None:
            self._known = list(User.objects.filter(organisation=self.principal.organisation_id))
        wanted = fold(name)
        return [
            one.pk
            for one in self._known
            if fold(one.email).startswith(wanted)
            or any(word.startswith(wanted) for word in (fold(one.name), *fold(one.name).split()))
        ]


def _before(clause: Clause, _people: _People) -> Q:
    return Q(sorted_at__lt=clause.at)


def _after(clause: Clause, _people: _People) -> Q:
    return Q(sorted_at__gte=clause.at)


def _is(clause: Clause, _people: _People) -> Q:
    if clause.value in _TICKET_STATES:
        return _ticket(Q(state=clause.value))
    return {
        "unread": Q(is_read=False),
        "read": Q(is_read=True),
        "starred": Q(is_starred=True),
        "snoozed": Q(folder=Folder.SNOOZED),
    }[clause.value]


def _number(clause: Clause, _people: _People) -> Q:
    return _ticket(Q(number=int(clause.value)))


def _assignee(clause: Clause, people: _People) -> Q:
    if fold(clause.value) in NOBODY:
        return _ticket(Q(assignee=None))
    return _ticket(Q(assignee__in=people.called(clause.value)))


def _mentions(clause: Clause, people: _People) -> Q:
    told = Mention.objects.filter(
        ticket__mailbox=OuterRef("mailbox"),
        ticket__thread=OuterRef("thread"),
        user__in=people.called(clause.value),
    )
    return Q(Exists(told))


def _label(clause: Clause, people: _People) -> Q:
    """Where there is a label of this name, it is meant; else a tag. One or the other: asked together, PostgreSQL would
    look at every mail of the mailbox."""
    known = Label.objects.filter(
        organisation=people.principal.organisation_id, key=fold(clause.value)
    ).first()
    if known is None:
        return _ticket(Q(tags__contains=[clause.value]))
    labelled = ConversationLabel.objects.filter(
        mailbox=OuterRef("mailbox"), thread=OuterRef("thread"), label=known
    )
    return Q(Exists(labelled))


def _ticket(condition: Q) -> Q:
    tickets = Ticket.objects.filter(condition, mailbox=OuterRef("mailbox"), thread=OuterRef("thread"))
    return Q(Exists(tickets))


_CONDITIONS: Mapping[Kind, Callable[[Clause, _People], Q]] = {
    Kind.BEFORE: _before,
    Kind.AFTER: _after,
    Kind.IS: _is,
    Kind.NUMBER: _number,
    Kind.ASSIGNEE: _assignee,
    Kind.MENTIONS: _mentions,
    Kind.LABEL: _label,
}
