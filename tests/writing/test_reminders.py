"""Reminders: said once, before anything is sent, and gone ahead despite."""

from typing import Any

import pytest

from apps.mailboxes.models import Message
from apps.writing.reminders import AboutToBeSent, reminders_for
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House


def codes(despite: frozenset[str] = frozenset(), **mail: Any) -> list[str]:
    about = AboutToBeSent(**{"text": "Hello", "recipients": [], "has_files": False, **mail})
    return [one.code for one in reminders_for(about, despite)]


def answering(house: House, newest: Message, **mail: Any) -> dict[str, Any]:
    here = {"mailbox": house.support, "thread_id": newest.thread_id, "seen": str(newest.pk)}
    return here | mail


@pytest.mark.parametrize(
    "text",
    [
        "Please find attached the plan",
        "See the attachment.",
        "Im Anhang finden Sie den Plan",
        "Ich habe ihn beigefügt",
        "Vous trouverez en pièce jointe le plan",
        "Adjunto el plan",
        "Em anexo o plano",
        "In allegato trova",
        "In de bijlage",
        "Bifogat finner du",
        "W załączniku plan",
        "Файл во вложении",
        "请见附件",
        "添付します",
    ],
)
def test_a_forgotten_file_is_noticed_in_many_languages(text: str) -> None:
    assert codes(text=text) == ["file"]
    assert codes(text=text, has_files=True) == []
    assert codes(text=text, despite=frozenset({"file"})) == []


@pytest.mark.parametrize(
    "text", ["He is at tachyon speed", "The plan is on the wall", "Reattaching nothing", ""]
)
def test_what_speaks_of_no_file_is_left_alone(text: str) -> None:
    assert codes(text=text) == []


def test_a_variable_that_was_not_filled_is_told() -> None:
    assert codes(text="Dear {{customer.name}},") == ["unfilled"]


def test_a_newer_message_is_told_by_whom(house: House) -> None:
    first = arrive(house.support)
    assert codes(**answering(house, first)) == []
    answer = send(house.as_bob, "elena@customer.example", in_reply_to=str(first.pk)).message
    told = reminders_for(
        AboutToBeSent(text="Hello", recipients=[], has_files=False, **answering(house, first)), frozenset()
    )
    assert [one.code for one in told] == ["newer"]
    assert "Bob House" in told[0].sentence
    assert codes(**answering(house, answer)) == []
    assert codes(**answering(house, first, seen="nonsense")) == []


def test_an_outsider_who_joins_is_told_and_those_who_take_part_are_not(house: House) -> None:
    first = arrive(house.support, headers={"Cc": "Petra <petra@contoso.example>"})
    asked = ["Elena <elena@customer.example>", "PETRA@contoso.example", "bob@house.test"]
    assert codes(**answering(house, first, recipients=asked)) == []
    told = codes(**answering(house, first, recipients=[*asked, "Rival <rival@other.example>"]))
    assert told == ["outside"]
