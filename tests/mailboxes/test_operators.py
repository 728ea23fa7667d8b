from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mailboxes.operators import MAX_CLAUSES, OPERATORS, Asked, Clause, Kind, RemarkCode, read_query

NOW = datetime(2026, 3, 10, 15, 30, tzinfo=ZoneInfo("Europe/Berlin"))


def asked(text: str) -> Asked:
    return read_query(text, NOW)


def only(text: str) -> Clause:
    [clause] = asked(text).clauses
    return clause


def test_words_are_words_and_only_the_last_may_be_unfinished() -> None:
    first, second = asked("second charg").clauses
    assert (first.kind, first.value, first.unfinished) == (Kind.WORDS, "second", False)
    assert (second.value, second.unfinished) == ("charg", True)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("from:elena", Kind.FROM, "elena"),
        ("FROM:Elena", Kind.FROM, "Elena"),
        ('subject:"second charge"', Kind.SUBJECT, "second charge"),
        ("cc:tomas", Kind.TO, "tomas"),
        ("has:attachment", Kind.HAS, "attachment"),
        ("has:file", Kind.HAS, "attachment"),
        ("has:.PDF", Kind.HAS, "pdf"),
        ("is:Unread", Kind.IS, "unread"),
        ("in:trash", Kind.IN, "trash"),
        ("tag:vip", Kind.LABEL, "vip"),
        ("assignee:me", Kind.ASSIGNEE, "me"),
        ("#1234", Kind.NUMBER, "1234"),
        ("well-known", Kind.WORDS, "well-known"),
        ('"left open', Kind.WORDS, "left open"),
    ],
)
def test_operators_are_read(text: str, kind: Kind, value: str) -> None:
    clause = only(text)
    assert (clause.kind, clause.value, clause.negated) == (kind, value, False)
    assert not asked(text).remarks


def test_a_minus_before_anything_is_a_not() -> None:
    clauses = asked('-invoice -from:elena -"second charge" -is:solved - ').clauses
    assert [clause.negated for clause in clauses] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("before:2026-03-01", "2026-03-01"),
        ("after:2026/02/28", "2026-02-28"),
        ("after:2026-02", "2026-02-01"),
        ("before:2025", "2025-01-01"),
        ("after:yesterday", "2026-03-09"),
        ("after:7d", "2026-03-03"),
        ("older:2w", "2026-02-24"),
    ],
)
def test_days_begin_on_the_askers_clock(text: str, day: str) -> None:
    moment = only(text).at
    assert moment == datetime.fromisoformat(day).replace(tzinfo=NOW.tzinfo)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("is:purple", RemarkCode.NO_STATE),
        ("in:cellar", RemarkCode.NO_PLACE),
        ("before:soon", RemarkCode.NO_DAY),
        ("before:2026-02-30", RemarkCode.NO_DAY),
        ("after:99999999y", RemarkCode.NO_DAY),
        ("after:9999y", RemarkCode.NO_DAY),
        ("from:", RemarkCode.NO_VALUE),
        ("from: elena", RemarkCode.NO_VALUE),
    ],
)
def test_what_says_nothing_is_told_and_left_out(text: str, code: RemarkCode) -> None:
    found = asked(text)
    assert [remark.code for remark in found.remarks] == [code]
    assert all(clause.kind == Kind.WORDS for clause in found.clauses)


def test_an_operator_nobody_knows_is_searched_for_as_words() -> None:
    found = asked("colour:red")
    assert [(clause.kind, clause.value) for clause in found.clauses] == [(Kind.WORDS, "colour red")]
    assert [(remark.code, remark.said) for remark in found.remarks] == [
        (RemarkCode.UNKNOWN_OPERATOR, "colour:")
    ]


@pytest.mark.parametrize("text", ["10:30", "https://x.example/a?b=1", "::", "a::b c"])
def test_what_people_paste_is_no_operator(text: str) -> None:
    assert {clause.kind for clause in asked(text).clauses} == {Kind.WORDS}


_PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [f"{name}:" for name in OPERATORS] + ["-", '"', " ", "#", ":", "2026-02-30", "9999y", "me", "\x00"]
    ),
)


@given(st.lists(_PIECES, max_size=60).map("".join))
def test_any_line_at_all_is_read_within_bounds(text: str) -> None:
    found = read_query(text, datetime(2026, 3, 10, tzinfo=UTC))
    assert len(found.clauses) <= MAX_CLAUSES
    for clause in found.clauses:
        assert clause.value
        assert "\x00" not in clause.value
        assert (clause.at is not None) == (clause.kind in {Kind.BEFORE, Kind.AFTER})
        assert not (clause.negated and clause.unfinished)


@given(st.sampled_from(sorted(OPERATORS)), st.from_regex(r"[a-z]{1,10}", fullmatch=True))
def test_an_operator_is_never_taken_for_words(operator: str, value: str) -> None:
    found = asked(f"{operator}:{value}")
    assert all(clause.kind == OPERATORS[operator] for clause in found.clauses)
    assert len(found.clauses) + len(found.remarks) == 1
