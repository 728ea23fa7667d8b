"""Drafts, their files and phrases over HTTP: what the composer's scripts ask."""

import json
import uuid
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.mime.quotes import split_quotes
from apps.tickets.models import Ticket
from apps.writing.models import Draft, DraftState, SavedReply, Signature
from apps.writing.phrases import keep_saved_reply, keep_signature
from tests.arrivals import arrive
from tests.people import House
from tests.pictures import picture
from tests.webmail.conftest import browser_of
from tests.webmail.test_writing import COMPOSE, answer_ticket, new_mail
from tests.writing.documents import document, with_picture


def at(name: str, draft_id: uuid.UUID, **more: Any) -> str:
    return reverse(f"webmail:{name}", kwargs={"draft_id": draft_id, **more})


def post_json(client: Client, url: str, **body: Any) -> Any:
    return client.post(url, json.dumps(body), content_type="application/json")


def save(client: Client, draft_id: uuid.UUID, text: str = "Good morning", **more: Any) -> Any:
    fields = {"from": "support@house.test", "to": "elena@customer.example", "subject": "Plan", "text": text}
    body = {"fields": fields, "document": document(text), "version": 0, "editor": "e", "turn": 1, **more}
    return post_json(client, at("draft", draft_id), **body)


def upload(client: Client, draft_id: uuid.UUID, content: bytes, **more: Any) -> Any:
    file_id = uuid.uuid4()
    asked = {
        "id": str(file_id),
        "filename": "plan.txt",
        "content_type": "text/plain",
        "size_bytes": len(content),
    }
    assert post_json(client, at("add-draft-file", draft_id), **(asked | more)).status_code == 201
    url = at("draft-file", draft_id, file_id=file_id)
    return client.patch(
        url, content, content_type="application/offset+octet-stream", headers={"Upload-Offset": "0"}
    )


def test_a_draft_is_saved_listed_opened_and_thrown_away(house: House, alice: Client) -> None:
    draft_id = uuid.uuid4()
    assert save(alice, draft_id).json() == {"id": str(draft_id), "version": 1}
    page = alice.get(reverse("webmail:drafts")).content.decode()
    assert "Good morning" in page
    assert f"{COMPOSE}?draft={draft_id}" in page
    assert "Good morning" in alice.get(f"{COMPOSE}?draft={draft_id}").content.decode()
    undo = alice.post(at("discard-draft", draft_id)).json()["undo_url"]
    assert "Good morning" not in alice.get(reverse("webmail:drafts")).content.decode()
    assert alice.get(f"{COMPOSE}?draft={draft_id}").status_code == 404
    assert alice.post(undo).json()["draft"]["fields"]["subject"] == "Plan"
    assert browser_of(house.bob).get(at("draft", draft_id)).status_code == 404


def test_a_conflict_is_answered_with_both(house: House, alice: Client) -> None:
    draft_id = uuid.uuid4()
    save(alice, draft_id)
    save(alice, draft_id, "On the phone", version=1, editor="phone")
    told = save(alice, draft_id, "On the laptop", version=1, turn=2).json()
    assert told["beside"]["fields"]["text"] == "On the phone"
    assert told["draft"]["fields"]["text"] == "On the laptop"
    assert told["id"] != str(draft_id)


def test_what_is_no_draft_is_refused_with_a_word(house: House, alice: Client) -> None:
    for body in (b"{", b"[]", b'{"document": {"type": "script"}}'):
        answer = alice.post(at("draft", uuid.uuid4()), body, content_type="application/json")
        assert answer.status_code == 422
    assert not Draft.objects.exists()


def test_files_go_up_and_along_and_come_back_with_undo(house: House, alice: Client) -> None:
    draft_id = uuid.uuid4()
    save(alice, draft_id)
    told = upload(alice, draft_id, b"the plan").json()
    assert told["is_whole"]
    assert alice.head(told["url"]).headers["Upload-Offset"] == "8"
    again = alice.patch(
        told["url"], b"x", content_type="application/octet-stream", headers={"Upload-Offset": "3"}
    )
    assert (again.status_code, again.headers["Upload-Offset"]) == (409, "8")
    sent = alice.post(
        COMPOSE, new_mail(draft=str(draft_id), document=json.dumps(document("Good morning")))
    ).json()
    message = Message.objects.get()
    assert [part.filename for part in message.parts.all()] == ["plan.txt"]
    assert Draft.objects.get().state == DraftState.SENT
    assert alice.post(sent["cancel_url"]).json() == {"draft": str(draft_id)}
    draft = alice.get(at("draft", draft_id)).json()
    assert [file["filename"] for file in draft["files"]] == ["plan.txt"]
    assert alice.delete(told["url"]).status_code == 200
    assert alice.get(at("draft", draft_id)).json()["files"] == []


def test_a_file_is_given_back_as_bytes_and_never_as_a_page(house: House, alice: Client) -> None:
    draft_id = uuid.uuid4()
    save(alice, draft_id)
    url = upload(alice, draft_id, b"<script>alert(1)</script>", filename="a.html").json()["url"]
    answer = alice.get(url, headers={"Sec-Fetch-Dest": "empty"})
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"
    for place in ("document", "iframe", "script", "image"):
        assert alice.get(url, headers={"Sec-Fetch-Dest": place}).status_code == 404


def test_what_leaves_is_alternative_with_pictures_related_and_files_beside(
    house: House, alice: Client
) -> None:
    draft_id = uuid.uuid4()
    save(alice, draft_id)
    shown = upload(alice, draft_id, picture(size=(8, 8)), filename="plan.png", inline=True).json()
    upload(alice, draft_id, b"the plan")
    written = with_picture(shown["content_id"])
    answer = alice.post(COMPOSE, new_mail(draft=str(draft_id), document=json.dumps(written)))
    assert answer.status_code == 202, answer.content
    raw = raw_of(Message.objects.get())
    order = [b"multipart/mixed", b"multipart/alternative", b"text/plain", b"multipart/related", b"text/html"]
    order += [b"image/png", f"Content-ID: <{shown['content_id']}>".encode(), b'filename="plan.txt"']
    places = [raw.index(part) for part in order]
    assert places == sorted(places)
    assert b"<script" not in raw
    parsed = parse(raw)
    assert f"cid:{shown['content_id']}" in parsed.html
    assert [part.inline for part in parsed.parts] == [True, False]


def test_an_answer_is_signed_and_quotes_what_it_answers(house: House, alice: Client) -> None:
    arrive(house.support, headers={"References": "<older@customer.example>"})
    ticket = Ticket.objects.get()
    asked = Message.objects.get()
    keep_signature(house.as_alice, house.support, document("House Support"), is_own=False, now=timezone.now())
    own = keep_signature(house.as_alice, house.support, document("Alice"), is_own=True, now=timezone.now())
    assert own is not None
    fields = {
        "to": "elena@customer.example",
        "document": json.dumps(document("It is mended.")),
        "quotes": str(asked.pk),
        "signs": str(own.pk),
    }
    assert alice.post(answer_ticket(ticket), fields).status_code == 202
    sent = Message.objects.get(author=house.alice)
    parsed = parse(raw_of(sent))
    lines = parsed.text.split("\n")
    assert lines[:4] == ["It is mended.", "", "-- ", "Alice"]
    assert lines[5].endswith("Elena Marsh <elena@customer.example> wrote:")
    assert "> our card was charged twice." in lines
    assert '<blockquote type="cite"' in raw_of(sent).decode().replace("=\r\n", "").replace("=3D", "=")
    # What we quote, we fold again.
    assert split_quotes(parsed.text).new_text == "It is mended."
    assert sent.in_reply_to == [asked.rfc_message_id]
    assert sent.references == ["older@customer.example", asked.rfc_message_id]


def test_somebody_elses_signature_draft_or_quote_is_not_found(
    house: House, alice: Client, stranger: House
) -> None:
    theirs = keep_signature(house.as_bob, house.support, document("Bob"), is_own=True, now=timezone.now())
    foreign = arrive(stranger.support, to="support@stranger.test")
    assert theirs is not None
    for field, value in (("signs", theirs.pk), ("quotes", foreign.pk), ("draft", uuid.uuid4())):
        assert alice.post(COMPOSE, new_mail(**{field: str(value)})).status_code == 404
    assert not Message.objects.filter(author=house.alice).exists()


def test_a_reminder_comes_before_anything_is_done_and_is_answered_once(house: House, alice: Client) -> None:
    fields = new_mail(text="See the attached plan", reminds="1")
    answer = alice.post(COMPOSE, fields)
    assert (answer.status_code, [one["code"] for one in answer.json()["reminders"]]) == (422, ["file"])
    assert not Message.objects.exists()
    assert alice.post(COMPOSE, fields | {"despite": "file"}).status_code == 202


def test_saved_replies_are_filled_for_the_conversation(house: House, alice: Client) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    words = "Dear {{customer.first_name}}, #{{ ticket.number }} of {{weather.today}} is {{agent.name}}'s <b>"
    keep_saved_reply(
        house.as_alice, name="Thanks", document=document(words), mailbox=None, row=None, now=timezone.now()
    )
    url = reverse("webmail:offered-replies", kwargs={"mailbox_id": house.support.pk})
    told = alice.get(f"{url}?thread={ticket.thread_id}").json()["replies"]
    assert [one["text"] for one in told] == ["Dear Elena, #1 of {{weather.today}} is Alice House's <b>"]
    assert alice.get(f"{url}?thread={uuid.uuid4()}").status_code == 404


def test_signatures_and_saved_replies_are_kept_on_their_page(house: House, alice: Client) -> None:
    page = reverse("webmail:phrases")
    where = reverse("webmail:change-signature", kwargs={"mailbox_id": house.support.pk})
    assert alice.post(where, {"text": "House Support\nMonday to Friday"}).status_code == 302
    assert "Monday to Friday" in alice.get(page).content.decode()
    added = reverse("webmail:add-saved-reply")
    assert alice.post(added, {"name": "", "text": "Hello"}).status_code == 422
    assert alice.post(added, {"name": "Thanks", "text": "Thank you."}).status_code == 302
    row = SavedReply.objects.get()
    change = reverse("webmail:change-saved-reply", kwargs={"reply_id": row.pk})
    changed = {"name": "Thanks", "document": json.dumps(document("Many thanks."))}
    assert alice.post(change, changed).status_code == 302
    assert "Many thanks." in alice.get(page).content.decode()
    alice.post(where, {"text": ""})
    assert not Signature.objects.exists()
    assert alice.post(reverse("webmail:remove-saved-reply", kwargs={"reply_id": row.pk})).status_code == 302
    assert not SavedReply.objects.exists()


def test_the_list_of_drafts_asks_the_same_however_long(house: House, alice: Client) -> None:
    asked = []
    for length in (2, 12):
        for n in range(length - Draft.objects.count()):
            save(alice, uuid.uuid4(), f"Draft {n}")
        with CaptureQueriesContext(connection) as queries:
            page = alice.get(reverse("webmail:drafts")).content.decode()
        assert page.count('class="item"') == length
        asked.append(len(queries))
    assert asked[0] == asked[1]
