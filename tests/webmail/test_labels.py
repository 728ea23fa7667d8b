"""The page of labels and views: who may change what, what a deletion says it takes, and in what order views stand."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.mailboxes.labels import create_label, put_label
from apps.mailboxes.models import ConversationLabel, Label, SavedView
from apps.mailboxes.saved_views import save_view, views_for
from tests.arrivals import arrive
from tests.people import House
from tests.webmail.conftest import browser_of

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAGE = "/labels/"


def at(name: str, label: Label) -> str:
    return reverse(f"webmail:{name}", kwargs={"label_id": label.pk})


def of_view(view: SavedView) -> str:
    return reverse("webmail:change-view", kwargs={"view_id": view.pk})


@pytest.fixture
def admin(house: House) -> Client:
    return browser_of(house.admin)


@pytest.fixture
def vip(house: House) -> Label:
    """On three conversations, of which Alice sees one."""
    label = create_label(house.as_alice, "VIP", "red")
    put_label(house.support, [arrive(house.support).thread_id], label)
    for n in range(2):
        mail = arrive(house.bobs, to="bob@house.test", message_id=f"{n}@x.example")
        put_label(house.bobs, [mail.thread_id], label)
    return label


def test_everybody_sees_the_labels_and_an_admin_may_change_them(
    house: House, alice: Client, admin: Client, vip: Label
) -> None:
    hers, theirs = alice.get(PAGE).content.decode(), admin.get(PAGE).content.decode()
    assert ("1 conversation" in hers, "3 conversations" in hers) == (True, False)
    assert "It is on 3 conversations" in theirs
    assert (at("delete-label", vip) in hers, at("delete-label", vip) in theirs) == (False, True)
    assert alice.post(at("change-label", vip), {"name": "Mine"}).status_code == 403
    assert alice.post(at("delete-label", vip)).status_code == 403
    assert Label.objects.get().name == "VIP"


def test_a_label_is_made_renamed_and_deleted(house: House, admin: Client, vip: Label) -> None:
    assert "“Late”" in admin.post("/labels/add/", {"name": "Late"}, follow=True).content.decode()
    admin.post(at("change-label", vip), {"name": "Very  important", "colour": "teal"})
    vip.refresh_from_db()
    assert (vip.name, vip.key, vip.colour) == ("Very important", "very important", "teal")
    gone = admin.post(at("delete-label", vip), follow=True).content.decode()
    assert "“Very important” is gone, and taken from 3 conversations." in gone
    assert not ConversationLabel.objects.exists()
    told = Event.objects.filter(kind__startswith="label.").values_list("kind", "actor").order_by("pk")
    by_alice, by_admin = house.as_alice.actor, Principal.of_user(house.admin).actor
    assert list(told) == [
        ("label.created", by_alice),
        ("label.created", by_admin),
        ("label.changed", by_admin),
        ("label.deleted", by_admin),
    ]


def test_views_follow_a_label_to_its_new_name(
    house: House, admin: Client, vip: Label, stranger: House
) -> None:
    kept = {
        "label:vip is:open": 'label:"Very important" is:open',
        '-Tag:"VIP" from:"vip"': '-Tag:"Very important" from:"vip"',
        "label:vips vip": "label:vips vip",
    }
    views = [
        save_view(of, of_mailbox, name=query, query=query, shared=False, now=NOW)
        for query in kept
        for of, of_mailbox in ((house.as_alice, house.support), (stranger.as_alice, stranger.support))
    ]
    admin.post(at("change-label", vip), {"name": "Very important"})
    for view in views:
        view.refresh_from_db()
    assert [one.query for one in views if one.organisation_id == vip.organisation_id] == list(kept.values())
    assert [one.query for one in views if one.organisation_id != vip.organisation_id] == list(kept)


def test_a_name_for_which_a_view_has_no_room_changes_nothing(house: House, admin: Client, vip: Label) -> None:
    view = save_view(
        house.as_bob, house.support, name="a", query="x" * 490 + " label:vip", shared=False, now=NOW
    )
    assert admin.post(at("change-label", vip), {"name": "Very important"}).status_code == 422
    vip.refresh_from_db()
    view.refresh_from_db()
    assert (vip.name, view.query[-9:]) == ("VIP", "label:vip")


@pytest.mark.parametrize("name", ["late", "", " ", "x" * 61, "ﷺ" * 60, 'a"b'])
def test_a_name_that_cannot_be_is_told_beside_what_was_typed(
    house: House, admin: Client, vip: Label, name: str
) -> None:
    create_label(house.as_alice, "Late")
    answer = admin.post(at("change-label", vip), {"name": name})
    assert answer.status_code == 422
    assert 'class="wrong"' in answer.content.decode()
    vip.refresh_from_db()
    assert vip.name == "VIP"


def test_views_are_named_put_in_order_and_removed(house: House, alice: Client) -> None:
    first, second, third = (
        save_view(house.as_alice, house.support, name=name, query=f"from:{name}", shared=name == "b", now=NOW)
        for name in ("c", "b", "a")
    )
    assert [one.name for one in views_for(house.as_alice)] == ["c", "b", "a"]
    alice.post(of_view(third), {"move": "up"})
    alice.post(of_view(first), {"move": "down"})
    alice.post(of_view(second), {"move": "down"})
    assert [one.name for one in views_for(house.as_alice)] == ["a", "c", "b"]
    alice.post(of_view(second), {"name": "Bees", "q": "subject:bee"})
    assert SavedView.objects.get(pk=second.pk).query == "subject:bee"
    assert alice.post(of_view(second), {"name": "", "q": "subject:bee"}).status_code == 422
    removed = alice.post(reverse("webmail:remove-view", kwargs={"view_id": second.pk}), follow=True)
    assert "The view is gone" in removed.content.decode()
    assert browser_of(house.bob).post(of_view(first), {"name": "Bob’s"}).status_code == 404


def test_the_page_asks_the_same_for_one_label_and_for_many(
    house: House, alice: Client, vip: Label, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(18):
        alice.get(PAGE)
    for n in range(5):
        create_label(house.as_alice, f"Label {n}")
        save_view(house.as_alice, house.support, name="A view", query="a", shared=True, now=NOW)
    with django_assert_num_queries(18):
        alice.get(PAGE)


def test_the_rail_leads_to_what_has_a_label(house: House, alice: Client, vip: Label) -> None:
    create_label(house.as_alice, "Late parcel")
    page = alice.get(f"/m/{house.support.pk}/inbox/").content.decode()
    assert "?q=label%3A%22Late%20parcel%22" in page
    found = alice.get(f"/m/{house.support.pk}/inbox/", {"q": "label:VIP"}).content.decode()
    assert found.count('aria-current="page"') == 1
