"""Signing in at the submission port: in TLS only, with a key or an app password, and not by guessing."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from apps.accounts import guesses
from apps.accounts.models import ApiKey, Role
from apps.accounts.services import create_api_key
from apps.mailboxes.app_passwords import create_app_password, revoke_app_password
from apps.mailboxes.models import AppPassword, Membership
from tests.inbound.listening import Listening
from tests.inbound.submitting import MailProgram, listen_for_submissions, plain
from tests.inbound.wire import RawClient
from tests.people import House
from tests.servers import Servers

pytestmark = pytest.mark.django_db(transaction=True)
WRONG = "535 5.7.8 This name and this key or app password do not fit together"


@pytest.fixture(autouse=True)
def nobody_guessed_yet() -> None:
    cache.clear()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    listening = listen_for_submissions(tmp_path)
    yield listening
    listening.stop()


@pytest.fixture
def password(house: House) -> str:
    return create_app_password(house.as_alice, house.support, name="Laptop", now=timezone.now())[1]


def test_in_the_clear_nothing_but_starttls_is_taken(listening: Listening, house: House) -> None:
    with RawClient(listening.port) as client:
        offered = client.asks(b"EHLO client.example")
        assert "STARTTLS" in offered
        assert "AUTH" not in offered
        for command in (
            b"AUTH PLAIN " + plain("apikey", house.secret),
            b"AUTH LOGIN",
            b"MAIL FROM:<support@house.test>",
            b"RCPT TO:<elena@customer.example>",
            b"DATA",
            b"VRFY support",
        ):
            assert client.asks(command) == "530 5.7.0 Say STARTTLS first"


def test_a_secret_said_ahead_of_tls_is_not_taken_for_one_said_within(
    listening: Listening, house: House
) -> None:
    with RawClient(listening.port) as client:
        client.says(b"AUTH PLAIN " + plain("apikey", house.secret) + b"\r\n")
        assert client.hears().startswith("530")
    with MailProgram(listening.port) as program:
        assert program.asks(b"MAIL FROM:<support@house.test>").startswith("530 5.7.0")


def test_auth_is_offered_in_tls_until_one_has_signed_in(listening: Listening, house: House) -> None:
    with MailProgram(listening.port) as program:
        assert "AUTH PLAIN LOGIN" in program.greeting
        assert program.asks(b"MAIL FROM:<support@house.test>") == "530 5.7.0 Sign in first, with AUTH"
        assert program.signs_in("apikey", house.secret) == "235 2.7.0 Welcome"
        assert program.signs_in("apikey", house.secret).startswith("503 5.5.1")
        assert "AUTH" not in program.asks(b"EHLO again")
        assert program.asks(b"MAIL FROM:<support@house.test> AUTH=<> SIZE=1000").startswith("250")


@pytest.mark.parametrize(
    "username", ["apikey", "APIKEY", "support@house.test", "Support+x@HOUSE.test", "bob@house.test"]
)
def test_a_key_signs_in_under_any_address_it_may_send_from(
    listening: Listening, house: House, username: str
) -> None:
    with MailProgram(listening.port) as program:
        assert program.signs_in(username, house.secret).startswith("235")
    house.key.refresh_from_db()
    assert house.key.last_used_at is not None


@pytest.mark.parametrize("said", ["words", "Words", "blanks", "joined"])
def test_an_app_password_signs_in_however_it_is_typed(
    listening: Listening, house: House, password: str, said: str
) -> None:
    typed = {
        "words": password,
        "Words": password.upper(),
        "blanks": password.replace("-", " "),
        "joined": password.replace("-", ""),
    }[said]
    with MailProgram(listening.port) as program:
        assert program.signs_in("support@house.test", typed).startswith("235")
    used = AppPassword.objects.get()
    assert used.last_used_from == "127.0.0.1"
    assert used.last_used_at is not None


def test_every_exchange_of_rfc_4954_is_understood(listening: Listening, house: House) -> None:
    name, secret = base64.b64encode(b"apikey"), base64.b64encode(house.secret.encode())

    def hold(*lines: bytes) -> list[str]:
        with MailProgram(listening.port) as program:
            return [program.asks(line) for line in lines]

    assert hold(b"AUTH PLAIN", plain("apikey", house.secret)) == ["334 ", "235 2.7.0 Welcome"]
    assert hold(b"auth plain " + plain("apikey", house.secret, authzid="apikey")) == ["235 2.7.0 Welcome"]
    assert hold(b"AUTH LOGIN", name, secret) == ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 Welcome"]
    assert hold(b"AUTH LOGIN " + name, secret) == ["334 UGFzc3dvcmQ6", "235 2.7.0 Welcome"]
    assert hold(b"AUTH PLAIN", b"*")[1].startswith("501")
    assert hold(b"AUTH LOGIN", b"*", b"NOOP")[1:] == ["501 5.7.0 Taken back", "250 2.0.0 OK"]
    assert hold(b"AUTH PLAIN no%base64")[0].startswith("501 5.5.2")
    assert hold(b"AUTH PLAIN =")[0].startswith("501 5.5.2")
    assert hold(b"AUTH PLAIN " + plain("apikey", house.secret, authzid="boss@house.test"))[0].startswith(
        "501"
    )
    assert hold(b"AUTH CRAM-MD5")[0].startswith("504 5.5.4")
    assert hold(b"AUTH")[0].startswith("504 5.5.4")


def test_auth_within_a_transaction_or_without_ehlo_is_out_of_order(
    listening: Listening, house: House
) -> None:
    with MailProgram(listening.port) as program:
        program.asks(b"HELO old")
        assert program.signs_in("apikey", house.secret).startswith("503")
        program.asks(b"EHLO new")
        program.signs_in("apikey", house.secret)
        program.asks(b"MAIL FROM:<support@house.test>")
        assert program.signs_in("apikey", house.secret).startswith("503")


def test_wrong_names_and_wrong_secrets_are_answered_alike(
    listening: Listening, house: House, stranger: House, password: str
) -> None:
    agents = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)[1]
    for username, secret in (
        ("apikey", "mp_wrong"),
        ("apikey", ""),
        ("", house.secret),
        ("nobody@house.test", house.secret),
        ("support@house.test", stranger.secret),
        ("support@stranger.test", house.secret),
        ("bob@house.test", agents),
        ("alice@house.test", password),
        ("support@house.test", "\0"),
        ("\udcff@house.test".encode("utf-8", "surrogateescape").decode("latin-1"), "x"),
    ):
        with MailProgram(listening.port) as program:
            reply = program.signs_in(username, secret)
            assert reply == WRONG or reply.startswith("501"), (username, reply)
            assert program.asks(b"MAIL FROM:<support@house.test>").startswith("530")


def test_what_was_taken_back_or_belongs_to_nobody_any_more_is_wrong(
    listening: Listening, house: House, password: str
) -> None:
    def says(username: str, secret: str) -> str:
        with MailProgram(listening.port) as program:
            return program.signs_in(username, secret)

    agents = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)[1]
    assert says("alice@house.test", agents).startswith("235")
    Membership.objects.filter(mailbox=house.support, user=house.alice).delete()
    assert says("support@house.test", password) == WRONG
    Membership.objects.create(mailbox=house.support, user=house.alice)
    assert says("support@house.test", password).startswith("235")
    house.alice.is_active = False
    house.alice.save()
    assert says("support@house.test", password) == WRONG
    assert says("alice@house.test", agents) == WRONG
    house.alice.is_active = True
    house.alice.save()
    revoke_app_password(house.as_alice, AppPassword.objects.get(), timezone.now())
    assert says("support@house.test", password) == WRONG
    ApiKey.objects.update(revoked_at=timezone.now())
    assert says("apikey", house.secret) == WRONG


def test_what_is_taken_back_while_one_is_signed_in_sends_nothing_more(
    listening: Listening, house: House, password: str
) -> None:
    with MailProgram(listening.port) as program, MailProgram(listening.port) as other:
        program.signs_in("support@house.test", password)
        other.signs_in("apikey", house.secret)
        revoke_app_password(house.as_alice, AppPassword.objects.get(), timezone.now())
        ApiKey.objects.update(revoked_at=timezone.now())
        for client in (program, other):
            assert client.asks(b"MAIL FROM:<support@house.test>").startswith("535 5.7.8")
            assert client.asks(b"MAIL FROM:<support@house.test>").startswith("530 5.7.0")


def test_three_failures_end_a_connection(listening: Listening, house: House) -> None:
    with MailProgram(listening.port) as program:
        assert [program.signs_in("support@house.test", f"guess {n}") for n in range(3)] == [WRONG] * 3
        assert program.hears() == ""


def guess(listening: Listening, username: str, secret: str) -> str:
    with MailProgram(listening.port) as program:
        return program.signs_in(username, secret)


def test_guessing_at_an_address_is_stopped_and_the_right_password_must_wait(
    listening: Listening, house: House, password: str
) -> None:
    for n in range(guesses.MAX_FAILURES_OF_PAIR):
        assert guess(listening, "support@house.test", f"guess {n}") == WRONG
    assert guess(listening, "SUPPORT@house.test", password).startswith("454 4.7.0")
    assert guess(listening, "apikey", house.secret).startswith("235"), (
        "loopback is trusted for no address here"
    )


def test_an_old_password_of_a_shared_mailbox_bars_no_colleague_beside_it(
    listening: Listening, house: House, password: str
) -> None:
    old = create_app_password(house.as_alice, house.support, name="Old laptop", now=timezone.now())[1]
    for words in (password, old):
        assert guess(listening, "support@house.test", words).startswith("235")
    revoke_app_password(house.as_alice, AppPassword.objects.get(name="Old laptop"), timezone.now())
    for _ in range(guesses.MAX_FAILURES_OF_PAIR):
        assert guess(listening, "support@house.test", old) == WRONG
    assert guess(listening, "support@house.test", old).startswith("454")
    assert guess(listening, "support@house.test", "never heard").startswith("454")
    assert guess(listening, "support@house.test", password).startswith("235")


def test_guessing_from_an_address_is_stopped_but_not_for_who_is_known_there(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guesses, "MAX_FAILURES_OF_NETWORK_ADDRESS", 3)
    listening = listen_for_submissions(tmp_path, trusted_networks=())
    other = create_api_key(house.organisation, name="other", role=Role.ADMIN)[1]
    try:
        assert guess(listening, "apikey", house.secret).startswith("235")
        for n in range(3):
            assert guess(listening, "apikey", f"mp_guess{n}") == WRONG
        assert guess(listening, "apikey", "mp_another").startswith("454")
        assert guess(listening, "apikey", other).startswith("454"), "it never came from here before"
        assert guess(listening, "apikey", house.secret).startswith("235"), (
            "a neighbour's guesses bar nobody known"
        )
    finally:
        listening.stop()


def test_a_trusted_network_is_not_barred_for_what_one_in_it_does(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guesses, "MAX_FAILURES_OF_NETWORK_ADDRESS", 3)
    listening = listen_for_submissions(tmp_path, trusted_networks=tuple(settings.SMTP_TRUSTED_NETWORKS))
    try:
        for n in range(5):
            assert guess(listening, "apikey", f"mp_guess{n}") == WRONG
        assert guess(listening, "apikey", house.secret).startswith("235")
    finally:
        listening.stop()


def test_guesses_are_counted_while_redis_is_away(
    listening: Listening, house: House, password: str, servers: Servers
) -> None:
    servers.valkey.stop()
    for n in range(guesses.MAX_FAILURES_OF_PAIR):
        assert guess(listening, "alice@house.test", f"guess {n}") == WRONG
    assert guess(listening, "alice@house.test", "guess").startswith("454")
    assert guess(listening, "support@house.test", password).startswith("235")


def test_a_database_that_is_away_is_our_failure_and_no_wrong_password(
    listening: Listening, house: House, servers: Servers
) -> None:
    with MailProgram(listening.port) as program:
        servers.postgres.stop()
        try:
            assert program.signs_in("apikey", house.secret).startswith("451")
        finally:
            servers.postgres.restart()
            connection.close()
        assert program.signs_in("apikey", house.secret).startswith("235")
