"""Signing in and out, and the brake on guessing."""

from django.test import Client
from django.urls import reverse

from apps.accounts.guesses import MAX_FAILURES_OF_PAIR
from tests.people import PASSWORD, House

SIGN_IN = reverse("webmail:sign-in")


def test_the_right_password_leads_to_where_one_wanted_to_go(house: House, nobody: Client) -> None:
    asked = nobody.get("/outbox/")
    assert asked.status_code == 302
    answer = nobody.post(asked["Location"], {"email": "Alice@House.test", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/outbox/")
    assert nobody.get("/outbox/").status_code == 200


def test_signing_in_never_leads_to_another_site(house: House, nobody: Client) -> None:
    answer = nobody.post(
        SIGN_IN, {"email": "alice@house.test", "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert answer["Location"] == "/"


def test_a_wrong_password_and_a_wrong_address_are_answered_alike(house: House, nobody: Client) -> None:
    wrong_password = nobody.post(SIGN_IN, {"email": "alice@house.test", "password": "wrong"})
    wrong_address = nobody.post(SIGN_IN, {"email": "nobody@house.test", "password": "wrong"})
    assert wrong_password.status_code == wrong_address.status_code == 422
    assert wrong_password.context["problem"] == wrong_address.context["problem"]
    assert b'value="alice@house.test"' in wrong_password.content


def test_guessing_is_stopped_and_the_right_password_must_wait_too(house: House, nobody: Client) -> None:
    for _ in range(MAX_FAILURES_OF_PAIR):
        assert nobody.post(SIGN_IN, {"email": "alice@house.test", "password": "guess"}).status_code == 422
    barred = nobody.post(SIGN_IN, {"email": "ALICE@house.test ", "password": PASSWORD})
    assert barred.status_code == 429
    assert int(barred["Retry-After"]) > 0
    other = nobody.post(SIGN_IN, {"email": "bob@house.test", "password": PASSWORD})
    assert other.status_code == 302


def test_people_can_sign_in_while_the_cache_is_away(
    house: House, nobody: Client, unreachable_cache: None
) -> None:
    assert nobody.post(SIGN_IN, {"email": "alice@house.test", "password": "wrong"}).status_code == 422
    assert nobody.post(SIGN_IN, {"email": "alice@house.test", "password": PASSWORD}).status_code == 302


def test_somebody_deactivated_is_signed_out_and_cannot_return(house: House, alice: Client) -> None:
    assert alice.get("/outbox/").status_code == 200
    house.alice.is_active = False
    house.alice.save()
    assert alice.get("/outbox/").status_code == 302
    assert alice.post(SIGN_IN, {"email": "alice@house.test", "password": PASSWORD}).status_code == 422


def test_signing_out_ends_the_session(alice: Client) -> None:
    assert alice.get(reverse("webmail:sign-out")).status_code == 405
    assert alice.post(reverse("webmail:sign-out")).status_code == 302
    assert alice.get("/outbox/").status_code == 302
