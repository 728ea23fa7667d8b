"""The registry of commands: keys are read as people write them, kept for a person, and written nowhere else."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from apps.accounts.models import Preferences
from apps.webmail.commands import BY_NAME, COMMANDS, read_key, read_keys
from tests.people import House

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("j", "j"),
        (" J ", "Shift+J"),
        ("shift+u", "Shift+U"),
        ("ctrl+enter", "Ctrl+Enter"),
        ("CTRL+k", "Ctrl+K"),
        ("g  i", "g i"),
        ("#", "#"),
        ("+", "+"),
        ("Ctrl++", "Ctrl++"),
        ("", ""),
    ],
)
def test_a_key_is_read_as_people_write_it(typed: str, key: str) -> None:
    assert read_key(typed) == key


@pytest.mark.parametrize("typed", ["jk", "g i x", "Ctrl+W", "Shift+3", "Ctrl+", "x" * 40, "\x00", "\u202e"])
def test_what_is_no_key_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        read_key(typed)


def test_the_keys_it_comes_with_do_not_clash() -> None:
    assert read_keys({}) == ({}, {})


def test_a_key_of_two_commands_is_wrong_at_both_and_so_is_one_that_begins_another() -> None:
    _keys, wrong = read_keys({"star": "e"})
    assert set(wrong) == {"star", "done"}
    _keys, wrong = read_keys({"star": "g"})
    assert "go-inbox" in wrong
    assert "star" in wrong


def test_commands_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(COMMANDS)


def test_a_person_keeps_their_keys_and_nobody_elses_change(house: House, alice: Client) -> None:
    answer = alice.post("/keys/", {"key-star": "t", "key-spam": "", "single": "on"})
    assert answer.status_code == 302
    mine = Preferences.objects.get()
    assert (mine.user, mine.keys, mine.single_keys) == (house.alice, {"star": "t", "spam": ""}, True)
    page = alice.get("/keys/").content.decode()
    assert '"name": "star", "words": "Star", "key": "t"' in unescape(page)
    alice.post("/keys/", {"reset": "1"})
    mine.refresh_from_db()
    assert mine.keys == {}


def test_keys_that_cannot_be_are_shown_again_and_nothing_is_kept(house: House, alice: Client) -> None:
    answer = alice.post("/keys/", {"key-star": "e", "single": "on"})
    assert answer.status_code == 422
    assert "begins with the same key" in answer.content.decode()
    assert not Preferences.objects.exists()


def test_the_switch_is_kept(house: House, alice: Client) -> None:
    alice.post("/keys/switch/", {"on": "0"})
    assert not Preferences.objects.get().single_keys
    assert '"single": false' in alice.get("/keys/").content.decode()


def test_the_palette_knows_the_folders_of_ones_own_mailboxes_only(house: House, alice: Client) -> None:
    listed = alice.get("/places/").json()["places"]
    assert {one["about"] for one in listed} == {house.support.name, house.alices.name}
    assert any(one["words"] == "Sent" for one in listed)


def test_no_key_is_written_outside_the_registry() -> None:
    """Not on a cap, not in a title, not in a script: a person's own keys would not be told there.

    What a widget hears while one is in it (Escape, arrows, the text editor's Ctrl+K for a link) is no command.
    """
    written = []
    for path in sorted((ROOT / "templates").rglob("*.html")):
        text = path.read_text()
        found = re.findall(r"<kbd(?![^>]*>Esc<)|accesskey|title=\"[^\"]*\([!-~]\)", text)
        written += [f"{path.relative_to(ROOT)}: {one}" for one in found]
    for path in sorted({*(ROOT / "static" / "js").glob("*.js")} - {ROOT / "static" / "js" / "editor.js"}):
        found = re.findall(r"\.(?:key|code) ={2,3} [\"'](?:[^\"'\s]|Key\w)[\"']", path.read_text())
        written += [f"{path.relative_to(ROOT)}: {one}" for one in found]
    assert written == []


def test_every_button_of_a_command_names_one_that_there_is() -> None:
    unknown = []
    for path in sorted((ROOT / "templates").rglob("*.html")):
        for name in re.findall(r"(?:data-command|key-hint command)=[\"']([\w-]+)[\"']", path.read_text()):
            if name not in BY_NAME:
                unknown.append(f"{path.name}: {name}")
    assert unknown == []
