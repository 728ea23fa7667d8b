"""Whom a note calls: `@` and a colleague's whole name, first name, or what stands before the @ of their address.

A whole name calls that person alone, also where others share its first word: it is what the composer completes.
"""

import re
from collections.abc import Sequence

from apps.accounts.models import User
from apps.mailboxes.search import fold
from apps.tickets.models import Mention, Note
from apps.tickets.selectors import assignable_people

_CALL = re.compile(r"(?<![\w.])@([\w.-]*\w)")


def keep_mentions(note: Note) -> None:
    """In the transaction that writes the note."""
    if "@" not in note.text:
        return
    people = list(assignable_people(note.ticket))
    Mention.objects.bulk_create(
        Mention(organisation_id=note.organisation_id, ticket=note.ticket, note=note, user=person)
        for person in _called(fold(note.text), people)
    )


def _called(said: str, people: Sequence[User]) -> set[User]:
    called: set[User] = set()
    for call in _CALL.finditer(said):
        whole = [person for person in people if _stands_at(fold(person.name), said, call.start(1))]
        longest = max((len(person.name) for person in whole), default=0)
        called |= {person for person in whole if len(person.name) == longest} or {
            person
            for person in people
            if call[1] in {fold(person.name.partition(" ")[0]), fold(person.email.partition("@")[0])}
        }
    return called


def _stands_at(name: str, said: str, place: int) -> bool:
    end = place + len(name)
    return bool(name) and said.startswith(name, place) and not said[end : end + 1].isalnum()
