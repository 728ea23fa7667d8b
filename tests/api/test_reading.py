"""Reading messages, mailboxes and tickets over REST."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest

from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.mailboxes.models import Folder, MailboxEntry, Message
from apps.tickets.models import HeldMessage, Ticket
from apps.tickets.services import add_note
from tests.api.client import Api
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAGE_QUERIES = 10


def mail_with_files() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        "Elena <elena@customer.example>",
        "support@house.test",
        "Files",
    )
    mail["Message-ID"] = "<files@customer.example>"
    mail.set_content("See the files.\n")
    mail.add_attachment(b"<script>alert(1)</script>", maintype="text", subtype="html", filename="evil.html")
    mail.add_attachment(b"%PDF-1.7 \xff", maintype="application", subtype="pdf", filename="Übersicht 1.pdf")
    return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def many(house: House, count: int) -> list[Message]:
    return [
        arrive(
            house.support,
            message_id=f"{n}@customer.example",
            subject=f"Question {n}",
            at=NOW + timedelta(seconds=n),
        )
        for n in range(count)
    ]


def test_a_received_message_is_answered_as_the_contract_says(house: House, api: Api) -> None:
    text = "Thanks!\r\n\r\nOn Mon, 2 Mar 2026 at 09:00, Support <support@house.test> wrote:\r\n> How are you?\r\n"
    message = arrive(house.support, text=text, at=NOW)
    answer = api.get(f"/messages/{message.pk}")
    assert answer.status_code == 200
    told = answer.json()
    assert told["id"] == str(message.pk)
    assert told["message_id"] == "first@customer.example"
    assert told["entries"] == [{"mailbox": str(house.support.pk), "folder": "inbox", "flags": []}]
    assert (told["direction"], told["state"], told["kind"]) == ("in", "filed", "mail")
    assert told["from"] == {"name": "Elena Marsh", "address": "elena@customer.example"}
    assert told["to"] == [{"name": "", "address": "support@house.test"}]
    assert told["subject"] == "Invoice 20931 charged twice"
    assert told["date"] == "2026-03-02T09:00:00Z"
    assert told["received_at"] == "2026-03-02T09:00:00Z"
    assert "How are you?" in told["text"]
    assert told["new_text"].strip() == "Thanks!"
    assert told["html"] == ""
    assert told["authentication"]["spf"]["result"] == "unchecked"
    assert told["ticket"] == str(Ticket.objects.get().pk)
    assert told["thread"] == str(message.thread_id)
    assert "bcc" not in told
    assert "deliveries" not in told


def test_raw_answers_the_very_bytes_and_knows_them_again(house: House, api: Api) -> None:
    raw = raw_mail(text="bare\nfeed, \x00 and \udcff".replace("\udcff", "ÿ"))
    message = arrive(house.support, raw)
    answer = api.get(f"/messages/{message.pk}/raw")
    assert answer.content == raw
    assert answer.headers["Content-Type"] == "message/rfc822"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(raw).hexdigest()}"'
    again = api.get(f"/messages/{message.pk}/raw", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")


def test_an_attachment_is_a_download_that_no_browser_runs(house: House, api: Api) -> None:
    message = arrive(house.support, mail_with_files())
    attachments = api.get(f"/messages/{message.pk}").json()["attachments"]
    assert [(one["n"], one["filename"], one["content_type"]) for one in attachments] == [
        (1, "evil.html", "text/html"),
        (2, "Übersicht 1.pdf", "application/pdf"),
    ]
    evil, overview = (api.get(one["url"]) for one in attachments)
    assert evil.content == b"<script>alert(1)</script>"
    assert attachments[0]["sha256"] == hashlib.sha256(evil.content).hexdigest()
    assert attachments[0]["size_bytes"] == len(evil.content)
    for answer in (evil, overview):
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "filename*=utf-8''%C3%9Cbersicht%201.pdf" in overview.headers["Content-Disposition"]
    for missing in ("0", "3", str(10**30)):
        assert api.get(f"/messages/{message.pk}/attachments/{missing}").status_code == 404


def test_events_tell_what_happened_in_ids(house: House, api: Api) -> None:
    message = arrive(house.support)
    events = api.get(f"/messages/{message.pk}/events").json()["results"]
    assert {event["kind"] for event in events} == {"message.received", "ticket.opened"}
    assert {event["ticket"] for event in events} == {None, str(Ticket.objects.get().pk)}


def test_lists_are_walked_forwards_and_back(house: House, api: Api) -> None:
    newest_first = [str(message.pk) for message in reversed(many(house, 7))]
    walked, page, pages = [], api.get("/messages?limit=3").json(), 1
    assert page["previous"] is None
    while page["next"]:
        walked += [row["id"] for row in page["results"]]
        page, pages = api.get(page["next"]).json(), pages + 1
    walked += [row["id"] for row in page["results"]]
    assert (walked, pages) == (newest_first, 3)
    page = api.get(page["previous"]).json()
    assert [row["id"] for row in page["results"]] == newest_first[3:6]
    page = api.get(page["previous"]).json()
    assert [row["id"] for row in page["results"]] == newest_first[:3]
    assert page["previous"] is None


def test_rows_of_one_instant_are_neither_repeated_nor_skipped(house: House, api: Api) -> None:
    wanted = {str(arrive(house.support, message_id=f"{n}@customer.example", at=NOW).pk) for n in range(5)}
    url, seen = "/messages?limit=2", []
    while url:
        page = api.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert len(seen) == 5
    assert set(seen) == wanted


def test_messages_are_filtered(house: House, api: Api) -> None:
    kept = arrive(house.support, subject="A blue parrot")
    private = arrive(house.alices, message_id="2@x.example", subject="Lunch")
    MailboxEntry.objects.filter(message=kept).update(folder=Folder.ARCHIVE, is_read=True, is_starred=True)

    def found(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"/messages?{query}").json()["results"]]

    assert found("folder=archive") == [str(kept.pk)]
    assert found("folder=inbox") == [str(private.pk)]
    assert found(f"mailbox={house.alices.pk}") == [str(private.pk)]
    assert found(f"mailbox={house.alices.pk}&folder=archive") == []
    assert found("q=parr") == [str(kept.pk)]
    assert found("q=%21%21") == []
    assert found("state=filed") == [str(private.pk), str(kept.pk)]
    assert found("state=sent") == []
    rows = api.get(f"/mailboxes/{house.support.pk}/messages?folder=archive").json()["results"]
    assert rows[0]["entries"][0]["flags"] == ["read", "starred"]
    assert api.get(f"/mailboxes/{house.support.pk}/messages?folder=inbox").json()["results"] == []


def test_a_persons_key_sees_what_the_person_sees(house: House) -> None:
    shared = arrive(house.support)
    of_alice = arrive(house.alices, message_id="2@x.example")
    _key, secret = create_api_key(house.organisation, name="bob's", role=Role.AGENT, user=house.bob)
    bob = Api.of(secret)
    assert [row["id"] for row in bob.get("/messages").json()["results"]] == [str(shared.pk)]
    assert bob.get(f"/messages/{of_alice.pk}").status_code == 404
    assert bob.get(f"/mailboxes/{house.alices.pk}/messages").status_code == 404
    addresses = {row["address"] for row in bob.get("/mailboxes").json()["results"]}
    assert addresses == {"bob@house.test", "support@house.test"}


def test_tickets_are_listed_found_and_read(house: House, api: Api) -> None:
    _first, second = many(house, 2)
    newest = Ticket.objects.get(thread=second.thread_id)
    Ticket.objects.filter(pk=newest.pk).update(
        assignee=house.alice, tags=["billing"], state="pending", priority="high"
    )
    add_note(house.as_bob, newest, "Ask the bank.", now=NOW + timedelta(minutes=1))

    def found(query: str) -> list[int]:
        return [row["number"] for row in api.get(f"/tickets?{query}").json()["results"]]

    assert found("") == [2, 1]
    assert found("state=open") == [1]
    assert found(f"assignee={house.alice.pk}") == [2]
    assert found("assignee=none") == [1]
    assert found("tag=billing") == [2]
    assert found("priority=high") == [2]
    assert found("priority=urgent") == []
    assert api.get("/tickets?priority=dire").status_code == 422
    assert found("q=%232") == [2]
    assert found("q=question%200") == [1]
    assert found(f"mailbox={house.support.pk}&state=solved") == []
    told = api.get(f"/tickets/{newest.pk}").json()
    assert told["requester"] == {"name": "Elena Marsh", "address": "elena@customer.example"}
    assert told["assignee"] == {"id": str(house.alice.pk), "name": "Alice House", "email": "alice@house.test"}
    assert [row["id"] for row in told["messages"]] == [str(second.pk)]
    assert [(row["text"], row["author"]["name"]) for row in told["notes"]] == [("Ask the bank.", "Bob House")]


def test_a_ticket_is_changed_and_remarked_on(house: House, api: Api) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    body = {"state": "solved", "assignee": str(house.bob.pk), "priority": "urgent", "tags": ["vip"]}
    told = api.patch(f"/tickets/{ticket.pk}", body).json()
    assert (told["state"], told["priority"], told["tags"]) == ("solved", "urgent", ["vip"])
    assert told["assignee"]["name"] == "Bob House"
    assert told["priority_because"] == "set_by_a_person"
    assert told["priority_reason"] == "Somebody of the team set it."
    told = api.patch(f"/tickets/{ticket.pk}", {"assignee": None}).json()
    assert (told["assignee"], told["state"]) == (None, "solved")
    note = api.post(f"/tickets/{ticket.pk}/notes", {"text": "From the shop system."})
    assert note.status_code == 201
    assert (note.json()["author"], note.json()["author_name"]) == (None, "tests")


def test_held_mail_is_listed(house: House, api: Api) -> None:
    assert api.get("/held").json() == {"results": [], "next": None, "previous": None}
    message = arrive(house.support)
    held = HeldMessage.objects.create(
        organisation=house.organisation,
        raw=message.raw,
        cause="suspicious",
        reason="It looks odd.",
        received_at=NOW,
        held_at=NOW,
    )
    held.mailboxes.add(house.support)
    assert [row["id"] for row in api.get("/held").json()["results"]] == [str(held.pk)]


@pytest.mark.parametrize("path", ["/messages", "/tickets", "/mailboxes", "/held", "/errors"])
def test_a_page_of_many_takes_no_more_queries_than_a_page_of_few(
    house: House, api: Api, path: str, django_assert_max_num_queries: object
) -> None:
    arrive(house.support, mail_with_files())
    many(house, 20)
    with django_assert_max_num_queries(PAGE_QUERIES):  # type: ignore[operator]
        assert api.get(f"{path}?limit=50").status_code == 200


def test_a_ticket_of_many_messages_takes_few_queries(
    house: House, api: Api, django_assert_max_num_queries: object
) -> None:
    arrive(house.support)
    for n in range(15):
        answer = raw_mail(message_id=f"{n}@x.example", headers={"In-Reply-To": "<first@customer.example>"})
        arrive(house.support, answer)
    ticket = Ticket.objects.get()
    with django_assert_max_num_queries(PAGE_QUERIES + 1):  # type: ignore[operator]
        assert len(api.get(f"/tickets/{ticket.pk}").json()["messages"]) == 16
