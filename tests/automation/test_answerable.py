import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.automation.answerable import Because, OpeningMail, why_unanswered
from apps.mailboxes.models import MessageKind


def mail(
    *,
    kind: str = "mail",
    envelope_sender: str | None = "elena@customer.example",
    answer_to: str = "elena@customer.example",
    is_ours: bool = False,
    **headers: str,
) -> OpeningMail:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OpeningMail(kind, named, envelope_sender, answer_to, is_ours)


def test_a_persons_mail_may_be_answered() -> None:
    assert why_unanswered(mail()) is None
    assert why_unanswered(mail(auto_submitted="no")) is None
    assert why_unanswered(mail(auto_submitted="No (a person)")) is None
    assert why_unanswered(mail(precedence="first-class", x_auto_response_suppress="DR, NDR")) is None
    assert why_unanswered(mail(kind="calendar")) is None


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        (mail(is_ours=True), Because.FROM_OURSELVES),
        (mail(envelope_sender=""), Because.NULL_SENDER),
        (mail(envelope_sender=None), Because.NO_ENVELOPE),
        (mail(kind="bounce"), Because.NOT_A_PERSON),
        (mail(kind="complaint"), Because.NOT_A_PERSON),
        (mail(kind="receipt"), Because.NOT_A_PERSON),
        (mail(kind="auto_reply"), Because.NOT_A_PERSON),
        (mail(auto_submitted="auto-generated"), Because.AUTOMATIC),
        (mail(auto_submitted="auto-replied; owner-email=x@y.example"), Because.AUTOMATIC),
        (mail(auto_submitted="AUTO-NOTIFIED"), Because.AUTOMATIC),
        (mail(auto_submitted="something-new"), Because.AUTOMATIC),
        (mail(kind="list"), Because.FROM_A_LIST),
        (mail(list_id=""), Because.FROM_A_LIST),
        (mail(list_unsubscribe="<https://x.example/>"), Because.FROM_A_LIST),
        (mail(precedence="bulk"), Because.SENT_IN_BULK),
        (mail(precedence=" Junk "), Because.SENT_IN_BULK),
        (mail(precedence="list"), Because.SENT_IN_BULK),
        (mail(x_auto_response_suppress="DR, AutoReply"), Because.ASKS_FOR_NONE),
        (mail(x_auto_response_suppress="All"), Because.ASKS_FOR_NONE),
        (mail(x_loop="helpdesk"), Because.ASKS_FOR_NONE),
        (mail(envelope_sender="MAILER-DAEMON@x.example"), Because.SENDER_IS_A_ROLE),
        (mail(envelope_sender="owner-news@x.example"), Because.SENDER_IS_A_ROLE),
        (mail(envelope_sender="news-request@x.example"), Because.SENDER_IS_A_ROLE),
        (mail(answer_to="no-reply@x.example"), Because.SENDER_IS_A_ROLE),
        (mail(answer_to="noreply+order7@x.example"), Because.SENDER_IS_A_ROLE),
        (mail(answer_to=""), Because.NO_ADDRESS),
    ],
    ids=str,
)
def test_every_rule_speaks(asked: OpeningMail, because: Because) -> None:
    assert why_unanswered(asked) == because


@given(
    st.sampled_from(MessageKind.values),
    st.dictionaries(
        st.sampled_from(["auto-submitted", "precedence", "x-auto-response-suppress", "list-id", "x-loop"]),
        st.text(max_size=40),
    ),
    st.one_of(st.none(), st.text(max_size=40)),
    st.text(max_size=40),
)
def test_whatever_strangers_write_is_decided(
    kind: str, headers: dict[str, str], envelope_sender: str | None, answer_to: str
) -> None:
    because = why_unanswered(OpeningMail(kind, headers, envelope_sender, answer_to, is_ours=False))
    if because is None:
        assert envelope_sender
        assert answer_to
        assert headers.get("auto-submitted", "no").partition(";")[0].partition("(")[0].strip().lower() in {
            "no",
            "",
        }
