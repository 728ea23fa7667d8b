import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mime.quotes import split_quotes
from tests.mime.mails import corpus


def test_an_answer_above_a_quotation_is_what_is_new() -> None:
    text = "Yes, please.\n\nOn Mon, 1 Jan 2024 at 10:00, Anna <anna@example.org> wrote:\n> Shall we?\n> Anna"
    quoted = split_quotes(text)
    assert quoted.new_text == "Yes, please."
    assert quoted.folded == ((2, 5),)


def test_answers_between_quotations_keep_the_quotations_they_answer() -> None:
    text = "On 1 Jan 2024, Anna <a@x.org> wrote:\n> One?\nYes.\n> Two?\nNo.\n> Three?\nPerhaps."
    assert split_quotes(text).new_text == text


def test_an_announced_answer_inside_an_unmarked_original_is_not_folded() -> None:
    text = "Please see my answers below.\n\n-----Original Message-----\nFrom: Anna\nDo you agree?\nYes I do."
    assert split_quotes(text).new_text == text


def test_a_sentence_above_an_attribution_is_not_taken_for_a_part_of_it() -> None:
    text = "On 3 March 2024 we come at 12:30\nOn Mon, 1 Jan 2024, Anna <a@x.org> wrote:\n> When?"
    assert split_quotes(text).new_text == "On 3 March 2024 we come at 12:30"


def test_a_forwarded_mail_without_own_words_is_shown_whole() -> None:
    text = "---------- Forwarded message ----------\nFrom: A <a@x.org>\nDate: today\nTo: b\n\nLook at this."
    assert split_quotes(text).new_text == text


def test_a_mail_that_is_nothing_but_a_quotation_is_shown() -> None:
    assert split_quotes("> Only this").new_text == "> Only this"


def test_a_table_drawn_with_bars_is_no_quotation() -> None:
    text = "The figures:\n\n| a | b |\n| 1 | 2 |"
    assert split_quotes(text).new_text == text


@pytest.mark.parametrize("line", ["Sent from my iPhone", "Envoyé depuis mon mobile", "Get Outlook for iOS"])
def test_what_a_device_adds_is_folded(line: str) -> None:
    assert split_quotes(f"Thanks!\n\n{line}").new_text == "Thanks!"


@given(st.lists(st.sampled_from(["> q", "new words", "", "-- ", "On 1 Jan 2024 a@b.cd wrote:", "From: a", "To: b",
    "Subject: c", "-----Original Message-----", ">", "Sent from my iPhone", "____________"]), max_size=30)
)  # fmt: skip
def test_every_line_is_either_shown_or_folded_and_none_is_changed(lines: list[str]) -> None:
    text = "\n".join(lines)
    quoted = split_quotes(text)
    folded = {number for start, end in quoted.folded for number in range(start, end)}
    shown = [line for number, line in enumerate(lines) if number not in folded]
    assert quoted.new_text.strip() == "\n".join(shown).strip()
    assert not text.strip() or quoted.new_text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 50_000, " \n" * 50_000, "> a\nb\n" * 25_000, "On 2 " * 20_000, "On 2\n" * 50_000,
        "From: a\nTo: b\n" * 25_000, "_" * 500_000, "a@b." * 100_000, "--\n" * 50_000, "-----\n\n" * 30_000,
        "On 1 Jan 2024 a@b.cd\n" * 20_000, "> q\n\n\n" * 20_000, " " * 500_000, "-" * 500_000 + "x",
    ],
    ids=range(14),
)  # fmt: skip
def test_hostile_text_is_split_in_linear_time(text: str) -> None:
    started = time.process_time()
    split_quotes(text)
    assert time.process_time() - started < 2


def test_most_replies_of_the_corpus_are_reduced_to_what_is_new_in_them() -> None:
    wrong = []
    emails = corpus("replies/emails", "*.txt")
    for path in emails:
        expected = path.parents[1].joinpath("trimmed", path.name).read_text().replace("\r\n", "\n").strip()
        if split_quotes(path.read_text().replace("\r\n", "\n")).new_text.strip() != expected:
            wrong.append(path.name)
    assert len(wrong) / len(emails) <= 0.1, wrong
