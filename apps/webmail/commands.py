"""Everything one can do by a key: one table, from which shortcuts, Cmd-K, `?`, tooltips and the page Keys are made.

The browser (static/js/commands.js) knows what a command does, which mostly is: press the page's own button that is
marked with its name (`data-command`). Its words and its key are here and nowhere else.

A key is written as people say it: `j`, `#`, `Shift+U`, `Ctrl+Enter`, and `g i` for one after the other. Ctrl is ⌘ on a
Mac. Letters mean the key with that letter, also where the keyboard is set to another alphabet.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import Preferences

MAX_KEY_CHARS = 24


class Group(models.TextChoices):
    """What a command is for, in the order in which help tells them."""

    MOVING = "moving", gettext_lazy("Moving about")
    HANDLING = "handling", gettext_lazy("A conversation")
    WRITING = "writing", gettext_lazy("Writing")
    GOING = "going", gettext_lazy("Going somewhere")
    FINDING = "finding", gettext_lazy("Finding")


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do. `key` is the one it comes with."""

    name: str
    words: str | Promise
    key: str
    group: Group


COMMANDS = (
    Command("next", gettext_lazy("Next conversation"), "j", Group.MOVING),
    Command("previous", gettext_lazy("Previous conversation"), "k", Group.MOVING),
    Command("open", gettext_lazy("Open it"), "o", Group.MOVING),
    Command("back", gettext_lazy("Back to the list"), "u", Group.MOVING),
    Command("select", gettext_lazy("Select, or leave out"), "x", Group.MOVING),
    Command("done", gettext_lazy("Solve the ticket, or archive"), "e", Group.HANDLING),
    Command("done-previous", gettext_lazy("The same, and open the previous one"), "[", Group.HANDLING),
    Command("done-next", gettext_lazy("The same, and open the next one"), "]", Group.HANDLING),
    Command("star", gettext_lazy("Star"), "s", Group.HANDLING),
    Command("snooze", gettext_lazy("Snooze"), "b", Group.HANDLING),
    Command("label", gettext_lazy("Labels"), "l", Group.HANDLING),
    Command("move", gettext_lazy("Move to a folder"), "v", Group.HANDLING),
    Command("trash", gettext_lazy("Move to Trash"), "#", Group.HANDLING),
    Command("spam", gettext_lazy("Spam, or no spam"), "!", Group.HANDLING),
    Command("read", gettext_lazy("Mark read"), "Shift+I", Group.HANDLING),
    Command("unread", gettext_lazy("Mark unread"), "Shift+U", Group.HANDLING),
    Command("merge", gettext_lazy("Merge the ticket into another"), "m", Group.HANDLING),
    Command("customer", gettext_lazy("Show the customer"), "i", Group.HANDLING),
    Command("pictures", gettext_lazy("Show the pictures from elsewhere"), "", Group.HANDLING),
    Command("print", gettext_lazy("Print the conversation"), "Shift+P", Group.HANDLING),
    Command("undo", gettext_lazy("Undo"), "z", Group.HANDLING),
    Command("reply", gettext_lazy("Answer"), "r", Group.WRITING),
    Command("reply-all", gettext_lazy("Answer everybody"), "a", Group.WRITING),
    Command("forward", gettext_lazy("Forward"), "f", Group.WRITING),
    Command("note", gettext_lazy("Write a note for the team"), "n", Group.WRITING),
    Command("compose", gettext_lazy("New mail"), "c", Group.WRITING),
    Command("send", gettext_lazy("Send what you wrote"), "Ctrl+Enter", Group.WRITING),
    Command("go-inbox", gettext_lazy("Inbox"), "g i", Group.GOING),
    Command("go-starred", gettext_lazy("Starred"), "g s", Group.GOING),
    Command("go-snoozed", gettext_lazy("Snoozed"), "g b", Group.GOING),
    Command("go-drafts", gettext_lazy("Drafts"), "g d", Group.GOING),
    Command("go-sent", gettext_lazy("Sent"), "g t", Group.GOING),
    Command("go-archive", gettext_lazy("Archive"), "g a", Group.GOING),
    Command("go-outbox", gettext_lazy("Outbox"), "g o", Group.GOING),
    Command("go-held", gettext_lazy("Held"), "g h", Group.GOING),
    Command("search", gettext_lazy("Search"), "/", Group.FINDING),
    Command("palette", gettext_lazy("Do or find anything"), "Ctrl+K", Group.FINDING),
    Command("help", gettext_lazy("All keys"), "?", Group.FINDING),
)
BY_NAME = {one.name: one for one in COMMANDS}

_NAMED = {"enter": "Enter", "delete": "Delete", "backspace": "Backspace", "home": "Home", "end": "End"}
_STROKE = re.compile(
    r"(?P<ctrl>ctrl\+)?(?P<shift>shift\+)?(?P<key>enter|delete|backspace|home|end|\S)", re.IGNORECASE
)
# What browsers and text fields keep to themselves.
_TAKEN = frozenset(f"Ctrl+{letter}" for letter in "ACNQRTVWXYZ")


def keys_of(preferences: Preferences) -> dict[str, str]:
    """The key of each command as this person has it; empty for none."""
    chosen = preferences.keys
    return {one.name: str(chosen.get(one.name, one.key)) for one in COMMANDS}


def for_browser(preferences: Preferences) -> dict[str, Any]:
    """What a page carries for its scripts."""
    keys = keys_of(preferences)
    listed = [{"name": one.name, "words": str(one.words), "key": keys[one.name]} for one in COMMANDS]
    return {"commands": listed, "single": preferences.single_keys}


def in_groups() -> list[tuple[Group, list[Command]]]:
    """All commands, as help and the page Keys tell them."""
    return [(group, [one for one in COMMANDS if one.group == group]) for group in Group]


def read_keys(typed: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What somebody typed for the commands: the keys that differ from the defaults, and by command what is wrong.

    A command that is not mentioned keeps its default.
    """
    keys: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for one in COMMANDS:
        text = typed.get(one.name, one.key)
        try:
            keys[one.name] = read_key(text)
        except ValueError as error:
            wrong[one.name] = str(error)
    for name, other in _clashes(keys):
        wrong.setdefault(
            name, _("“%(command)s” begins with the same key.") % {"command": BY_NAME[other].words}
        )
    return {name: key for name, key in keys.items() if key != BY_NAME[name].key}, wrong


def read_key(text: str) -> str:
    """A key in its usual spelling; "" for none. Raises ValueError with a sentence."""
    strokes = text.split()
    if len(text) > MAX_KEY_CHARS or len(strokes) > 2:
        raise ValueError(_("One key, or two after each other: “j” or “g i”."))
    return " ".join(_stroke(stroke) for stroke in strokes)


def _stroke(text: str) -> str:
    found = _STROKE.fullmatch(text)
    if found is None or not text.isprintable():
        raise ValueError(_("A key is written like “j”, “Shift+U” or “Ctrl+Enter”."))
    key = found["key"]
    named = _NAMED.get(key.lower())
    is_letter = named is None and key.isalpha()
    has_shift = bool(found["shift"]) or (is_letter and key.isupper() and not found["ctrl"])
    if has_shift and named is None and not is_letter:
        raise ValueError(_("Write the sign itself, “#” rather than Shift and 3."))
    if named is None:
        key = key.upper() if has_shift or found["ctrl"] else key.lower()
    stroke = ("Ctrl+" if found["ctrl"] else "") + ("Shift+" if has_shift else "") + (named or key)
    if stroke in _TAKEN:
        raise ValueError(_("The browser keeps %(key)s to itself.") % {"key": stroke})
    return stroke


def _clashes(keys: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Pairs of commands of which one would never be heard: the same key, or one that is the beginning of another."""
    taken = [(name, key.split()) for name, key in keys.items() if key]
    for name, key in taken:
        for other, its_key in taken:
            shorter = min(len(key), len(its_key))
            if other != name and key[:shorter] == its_key[:shorter]:
                yield name, other
