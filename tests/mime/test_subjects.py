"""Which subjects are the same one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mime.subjects import bare_subject, is_another_subject


@pytest.mark.parametrize(
    "written",
    [
        "Invoice 20931 charged twice",
        "Re: Invoice 20931 charged twice",
        "RE: AW: Re[2]: Invoice  20931 charged twice",
        "Fwd: [EXTERNAL] Re: Invoice 20931 charged twice",
        "SV: Invoice 20931 charged twice [#12]",
        "回复：Invoice 20931 charged twice",
        "Re: [Ticket #4711] Invoice 20931 charged twice",
        "Automatic reply: Invoice 20931 charged twice",
        "*SPAM* Invoice 20931 charged twice",
        "Accepted: Invoice 20931 charged twice",
        "invoice 20931 charged",
        "Re:",
        "",
    ],
)
def test_what_programs_write_around_a_subject_does_not_change_it(written: str) -> None:
    assert not is_another_subject(written, "Invoice 20931 charged twice")


@pytest.mark.parametrize("written", ["The pumps are down", "Re: Something else", "Invoice 20932", "Hi"])
def test_another_subject_is_one(written: str) -> None:
    assert is_another_subject(written, "Invoice 20931 charged twice")


def test_any_of_the_subjects_before_will_do() -> None:
    acknowledged = "Re: We have your mail (#12)"
    assert not is_another_subject(acknowledged, "Invoice 20931", "We have your mail (#12)")
    assert not is_another_subject("Whatever", "", "Re:")


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_subject_is_too_strange(one: str, other: str) -> None:
    assert not is_another_subject(one, one)
    assert bare_subject(bare_subject(one)) == bare_subject(one)
    is_another_subject(one, other)


def test_a_hostile_subject_takes_no_time() -> None:
    for unit in ("[", "re ", "# ", "( ", "*a", "re:"):
        bare_subject(unit * 100_000)
