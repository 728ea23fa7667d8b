import pytest
from django.db.models import Value
from hypothesis import given
from hypothesis import strategies as st

from apps.mailboxes.search import (
    INDEX_BOUND_BYTES,
    MARKED_BOUND,
    fold,
    lexemes_of,
    marked_words,
    query_of,
    terms_of,
    vector_of,
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Grüße aus Köln", ["grusse", "aus", "koln"]),
        ("elena.marsh@customer.example", ["elena", "marsh", "customer", "example"]),
        ("請求書の送付", ["請求", "求書", "書の", "の送", "送付"]),
        ("注文ABC-1", ["注文", "abc", "1"]),
        ("한국어", ["한국", "국어"]),
        ("猫", ["猫"]),
        ("…!?", []),
    ],
)
def test_texts_are_found_by_folded_words_and_pairs(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


@given(st.text())
def test_any_text_can_be_indexed_and_asked_for(text: str) -> None:
    for term in terms_of(text):
        assert "'" not in term
        assert term
    fold(text)
    query_of(text)


def test_what_is_indexed_stays_below_what_postgresql_takes() -> None:
    endless = " ".join(f"{number:x}".rjust(60, "ä") for number in range(100_000))
    expression = vector_of(endless, endless, endless).source_expressions[0]
    assert isinstance(expression, Value)
    assert len(expression.value.encode()) <= INDEX_BOUND_BYTES


def test_what_is_marked_is_found_by_its_mark_alone() -> None:
    marked = marked_words(
        sender="Zoë <zoe@x.example>", recipients=["Elena"], subject="Bill", filenames=["a.PDF", "noextension"]
    )
    lexemes = ["h.file", "h.pdf", "f.zoe", "f.x", "f.example", "s.bill", "t.elena"]
    assert sorted(lexemes_of(marked)) == sorted(lexemes)


@given(st.lists(st.text(), max_size=40))
def test_marked_words_are_bounded_and_never_meet_others(texts: list[str]) -> None:
    lexemes = lexemes_of(marked_words(sender=" ".join(texts), recipients=texts, subject="", filenames=texts))
    assert len(lexemes) <= MARKED_BOUND
    assert len(lexemes) == len(set(lexemes))
    assert all(lexeme[1] == "." and "." not in lexeme[2:] for lexeme in lexemes)
