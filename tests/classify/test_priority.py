import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.classify.priority import Because, Level, MailFacts, classify
from apps.mailboxes.models import MessageKind
from apps.mime.handling import HANDLING_FIELDS, read_handling
from apps.mime.headers import read_headers
from apps.mime.parse import parse
from apps.tickets.models import PRIORITY_REASONS, TicketPriority
from tests.mail import raw_mail


def judged(subject: str = "Invoice 20931", kind: str = "mail", **headers: str) -> tuple[Level, Because]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    priority = classify(MailFacts(kind, subject, named))
    return priority.level, priority.because


def test_a_mail_that_says_nothing_is_normal() -> None:
    assert judged() == (Level.NORMAL, Because.NOTHING_SPECIAL)


@pytest.mark.parametrize(
    ("headers", "level"),
    [
        ({"importance": "High"}, Level.HIGH),
        ({"importance": "low"}, Level.LOW),
        ({"priority": "urgent"}, Level.HIGH),
        ({"priority": "non-urgent"}, Level.LOW),
        ({"x_priority": "1 (Highest)"}, Level.HIGH),
        ({"x_priority": "2"}, Level.HIGH),
        ({"x_priority": "5(Lowest)"}, Level.LOW),
        ({"x_msmail_priority": "High"}, Level.HIGH),
    ],
    ids=str,
)
def test_what_the_senders_program_wrote_counts(headers: dict[str, str], level: Level) -> None:
    assert judged(**headers) == (level, Because.SENDER_MARKED_IT)


@pytest.mark.parametrize("value", ["3", "3 (Normal)", "11", "-1", "", "highest", "١"])
def test_a_value_that_says_nothing_changes_nothing(value: str) -> None:
    assert judged(x_priority=value) == (Level.NORMAL, Because.NOTHING_SPECIAL)


def test_the_standard_header_is_believed_before_the_custom_one() -> None:
    assert judged(importance="normal", x_priority="1") == (Level.NORMAL, Because.NOTHING_SPECIAL)
    assert judged(importance="nonsense", x_priority="1") == (Level.HIGH, Because.SENDER_MARKED_IT)


@pytest.mark.parametrize(
    "subject",
    [
        "[URGENT] Pumps down",
        "urgent: pumps down",
        "Re: [Urgent] pumps",
        "fw: (urgent) pumps",
        "URGENT! Pumps",
    ],
)
def test_a_marker_in_front_of_the_subject_is_urgent(subject: str) -> None:
    assert judged(subject) == (Level.URGENT, Because.SUBJECT_SAYS_URGENT)


@pytest.mark.parametrize(
    "subject",
    ["Urgent care bill", "Not urgent: a typo", "Is this urgent?", "insurgent: a novel", "Re: urgently"],
)
def test_the_word_alone_is_no_marker(subject: str) -> None:
    assert judged(subject) == (Level.NORMAL, Because.NOTHING_SPECIAL)


@pytest.mark.parametrize(
    ("kind", "headers", "because"),
    [
        ("auto_reply", {}, Because.FROM_A_MACHINE),
        ("bounce", {}, Because.FROM_A_MACHINE),
        ("receipt", {}, Because.FROM_A_MACHINE),
        ("list", {}, Because.FROM_A_LIST),
        ("mail", {"list_id": "<news.x.example>"}, Because.FROM_A_LIST),
        ("mail", {"list_unsubscribe": "<https://x.example/u>"}, Because.FROM_A_LIST),
        ("mail", {"precedence": "Bulk"}, Because.SENT_IN_BULK),
    ],
    ids=str,
)
def test_mail_that_nobody_waits_behind_is_low_however_it_shouts(
    kind: str, headers: dict[str, str], because: Because
) -> None:
    assert judged("[URGENT] Last chance", kind, importance="high", **headers) == (Level.LOW, because)


def test_a_monitors_alarm_may_be_urgent() -> None:
    alarm = judged("[URGENT] Disk full", auto_submitted="auto-generated")
    assert alarm == (Level.URGENT, Because.SUBJECT_SAYS_URGENT)


@given(
    st.text(max_size=300),
    st.sampled_from([kind.value for kind in MessageKind]),
    st.dictionaries(st.sampled_from(HANDLING_FIELDS), st.text(max_size=60)),
)
def test_whatever_strangers_write_has_a_priority_and_a_reason(
    subject: str, kind: str, headers: dict[str, str]
) -> None:
    priority = classify(MailFacts(kind, subject, headers))
    assert priority.level.value in TicketPriority.values
    assert PRIORITY_REASONS[priority.because]


def test_every_rule_has_its_sentence() -> None:
    assert set(PRIORITY_REASONS) == set(Because)


def test_the_parser_hands_the_fields_over_cleaned_and_bounded() -> None:
    raw = raw_mail(headers={"IMPORTANCE": "high", "X-Loop": "\x00" + "y" * 5000, "X-Other": "1"})
    handling = dict(parse(raw).handling)
    assert handling["importance"] == "high"
    assert handling["x-loop"] == "y" * 200
    assert "x-other" not in handling


def test_a_field_that_is_there_and_empty_is_there() -> None:
    raw = b"List-Id:\r\nPrecedence: bulk\r\n\r\n"
    headers, _body = read_headers(raw, 0, len(raw))
    assert read_handling(headers) == (("precedence", "bulk"), ("list-id", ""))
