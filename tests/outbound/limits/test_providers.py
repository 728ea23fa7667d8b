"""The table of providers' limits: every entry recognises its own example, and nothing else is taken for a limit."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from pytest_django import Settings

from apps.outbound.errors import RelayRefused
from apps.outbound.limits.provider_table import (
    BUILT_IN,
    Kind,
    Rule,
    Scope,
    TableInvalid,
    read_table,
)
from apps.outbound.limits.providers import ProviderLimit, Providers, known_providers, stated_wait
from apps.outbound.verdict import limit_told_by
from apps.outbound.wire.smtp_reply import Reply

RULES = read_table(BUILT_IN)
PROVIDERS = Providers(RULES)
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def reply_of(text: str) -> Reply:
    code, _space, rest = text.partition(" ")
    return Reply(int(code), (rest,))


def recognise(text: str) -> ProviderLimit | None:
    reply = reply_of(text)
    return PROVIDERS.recognise(reply.code, reply.enhanced, str(reply), now=NOW)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example[:60])
def test_every_entry_recognises_its_own_example_before_any_other(rule: Rule) -> None:
    reply = reply_of(rule.example)
    assert PROVIDERS.rule_for(reply.code, reply.enhanced, str(reply)) is rule
    assert rule.source.startswith(("https://", "http://", "RFC "))


# Whole replies from the providers' own pages, written down apart from the table.
@pytest.mark.parametrize(
    ("text", "kind", "scope", "wait"),
    [
        (
            "421 4.7.28 [203.0.113.9 15] Our system has detected an unusual rate of unsolicited mail originating "
            "from your IP address. To protect our users from spam, mail sent from your IP address has been "
            "temporarily rate limited. x7-20020a05 - gsmtp",
            Kind.RATE,
            Scope.RELAY,
            timedelta(minutes=15),
        ),
        (
            "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message "
            "at a later time.",
            Kind.RATE,
            Scope.RECIPIENT,
            timedelta(minutes=10),
        ),
        (
            "451 4.7.651 The mail server [203.0.113.9] has been temporarily rate limited due to IP reputation. For "
            "e-mail delivery information, see https://postmaster.live.com (S3114)",
            Kind.REPUTATION,
            Scope.RELAY,
            timedelta(minutes=30),
        ),
        ("452 4.5.3 Too many recipients", Kind.RECIPIENTS, Scope.RELAY, timedelta(minutes=1)),
        ("454 Throttling failure: Maximum sending rate exceeded", Kind.RATE, Scope.ACCOUNT, None),
        ("454 4.7.0 Throttling failure: Daily message quota exceeded", Kind.QUOTA, Scope.ACCOUNT, None),
        ("550 5.4.5 Daily sending quota exceeded. 1x - gsmtp", Kind.QUOTA, Scope.ACCOUNT, timedelta(hours=1)),
        ("421 4.7.0 Too many concurrent connections from your account", Kind.CONNECTIONS, Scope.RELAY, None),
        (
            "451 4.7.1 Greylisting in action, please come back in 00:02:00",
            Kind.GREYLISTING,
            Scope.RECIPIENT,
            timedelta(minutes=2),
        ),
        (
            "450 4.2.0 <a@x.example>: Recipient address rejected: Greylisted, please try again in 300 seconds",
            Kind.GREYLISTING,
            Scope.RECIPIENT,
            timedelta(minutes=5),
        ),
        (
            "550 Too many messages. Try again in 92 seconds.",
            Kind.RATE,
            Scope.ACCOUNT,
            timedelta(seconds=92),
        ),
        ("452 4.2.2 Mailbox full", Kind.MAILBOX_FULL, Scope.RECIPIENT, timedelta(hours=1)),
        (
            "421 4.7.0 [TSS04] Messages from 203.0.113.9 temporarily deferred due to unexpected volume or user "
            "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
            Kind.REPUTATION,
            Scope.RELAY,
            timedelta(hours=2),
        ),
    ],
)
def test_replies_are_recognised(text: str, kind: Kind, scope: Scope, wait: timedelta | None) -> None:
    limit = recognise(text)
    assert limit is not None
    assert (limit.kind, limit.scope) == (kind, scope)
    assert wait is None or limit.wait == wait


@pytest.mark.parametrize(
    "text",
    [
        "250 2.0.0 OK",
        "421 4.3.2 Service shutting down, closing transmission channel",
        "421 4.4.2 Timeout - closing connection",
        "450 4.1.8 <a@x.example>: Sender address rejected: Domain not found",
        "451 4.3.0 try again later",
        "451 4.4.1 Temporary lookup failure",
        "454 4.7.0 TLS not available due to temporary reason",
        "530 5.7.0 Must issue a STARTTLS command first",
        "535 5.7.8 Username and Password not accepted",
        "550 5.1.1 The email account that you tried to reach does not exist.",
        "550 5.7.1 This message was blocked because its content presents a potential security issue.",
        "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
        "552 5.7.0 Our system detected an illegal attachment on your message.",
        "553 5.1.3 The recipient address is not a valid RFC-5321 address.",
        "554 5.7.1 Message rejected under suspicion of SPAM",
    ],
)
def test_other_refusals_are_no_limits(text: str) -> None:
    assert recognise(text) is None


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("please try again in 5 minutes", 300),
        ("Retry after 60 seconds", 60),
        ("try again in 300s", 300),
        ("retry=120s", 120),
        ("wait 2 hours before sending again", 7200),
        ("blocked for 1 hour", 3600),
        ("please come back in 01:02:03", 3723),
        ("not before 10:30 UTC", 1800),
        ("until 14:15", 4 * 3600 + 900),
        ("please try again in a few hours", 3 * 3600),
        ("try again in 90 days", 86400),
    ],
)
def test_a_time_the_server_states_is_understood(words: str, seconds: int) -> None:
    assert stated_wait(f"450 4.7.0 Too fast, {words}.", NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "words",
    [
        "try again later",
        "try again in 0 seconds",
        "until 09:55 UTC",
        "at 10:12:33 the limit of 100 was met",
        "4.7.0 (id 15 s-20020a05)",
    ],
)
def test_where_no_time_is_stated_none_is_made_up(words: str) -> None:
    assert stated_wait(words, NOW) is None


def test_reading_a_reply_takes_time_in_proportion_to_its_length() -> None:
    def seconds(length: int) -> float:
        texts = ["in 1" * length, "after " * length, "in 12:34:" * length, "too many " * length]
        started = perf_counter()
        for text in texts:
            recognise(f"450 4.7.0 {text}")
        return perf_counter() - started

    seconds(1000)
    assert seconds(100_000) < 40 * max(seconds(10_000), 1e-3)


def test_what_is_told_of_a_limit_does_not_quote_the_server() -> None:
    limit = recognise("421 4.7.28 unusual rate of mail from elena@customer.example")
    assert limit is not None
    assert limit.because == "Gmail answered 421 4.7.28 (sending too fast)"


def test_entries_of_ones_own_come_first(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        """
[[limit]]
provider = "Our provider"
reply = "550 5.4.5"
words = ["Enough"]
kind = "quota"
scope = "account"
wait = "10m"
"""
    )
    providers = Providers((*read_table(own), *RULES))
    limit = providers.recognise(550, "5.4.5", "550 5.4.5 ENOUGH for today, daily quota", now=NOW)
    assert limit is not None and (limit.provider, limit.wait) == ("Our provider", timedelta(minutes=10))
    as_json = tmp_path / "own.json"
    entry = {"provider": "x", "reply": "4*", "kind": "rate", "scope": "relay", "wait": "1s"}
    as_json.write_text(json.dumps({"limit": [entry]}))
    assert read_table(as_json)[0].fits(421, "", "anything")


@pytest.fixture
def read_anew() -> Iterator[None]:
    """The table is read once a process."""
    known_providers.cache_clear()
    yield
    known_providers.cache_clear()


@pytest.mark.usefixtures("read_anew")
def test_the_settings_name_a_file_of_further_entries(tmp_path: Path, settings: Settings) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        "[[limit]]\nprovider='Ours'\nreply='550 5.7.1'\nwords=['hold your horses']\n"
        "kind='rate'\nscope='account'\nwait='7m'\n"
    )
    settings.PROVIDER_LIMITS_FILE = own
    limit = limit_told_by(RelayRefused("rcpt", "550 5.7.1 Hold your horses", code=550, enhanced="5.7.1"))
    assert limit is not None and (limit.provider, limit.wait) == ("Ours", timedelta(minutes=7))
    assert limit_told_by(RelayRefused("mail", "454 4.7.0 Throttling failure: too fast", code=454)) is not None


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("limit = 3", "no list `limit`"),
        ("[[limit]]\nprovider = 'x'", "entry 1: kind is missing"),
        (
            "[[limit]]\nprovider='x'\nreply='421'\nkind='odd'\nscope='relay'\nwait='1m'",
            "entry 1: 'odd' is not a valid Kind",
        ),
        (
            "[[limit]]\nprovider='x'\nreply='250'\nkind='rate'\nscope='relay'\nwait='1m'",
            "entry 1: reply begins with a code of 4yz or 5yz",
        ),
        (
            "[[limit]]\nprovider='x'\nreply='421'\nkind='rate'\nscope='relay'\nwait='soon'",
            "entry 1: wait is a number",
        ),
        (
            "[[limit]]\nprovider='x'\nreply='421'\nkind='rate'\nscope='relay'\nwait='1m'\nregex='.*'",
            "entry 1: regex is unknown",
        ),
        ("not toml at all", "it is not TOML"),
    ],
)
def test_a_table_that_cannot_be_used_says_where_and_why(tmp_path: Path, content: str, wrong: str) -> None:
    table = tmp_path / "table.toml"
    table.write_text(content)
    with pytest.raises(TableInvalid, match=wrong):
        read_table(table)


def test_the_table_covers_the_providers_and_kinds_people_meet() -> None:
    """Prints the classification table (`pytest -s`)."""
    by_kind = Counter(rule.kind for rule in RULES)
    providers = {rule.provider for rule in RULES}
    print(f"\n{len(RULES)} entries, {len(providers)} providers")  # noqa: T201
    for rule in RULES:
        reply = f"{rule.code} {rule.enhanced}".strip()
        minutes = f"{rule.wait.total_seconds() / 60:g} min"
        print(  # noqa: T201
            f"{rule.provider:22} {reply:12} {rule.kind:12} {rule.scope:11} {minutes:>9}  {rule.example[:70]}"
        )
    assert len(RULES) >= 40
    assert by_kind.keys() == set(Kind)
    assert {"Gmail", "Microsoft", "Yahoo", "Amazon SES", "Postfix", "Exim", "GMX and WEB.DE"} <= providers
    assert len({(rule.code, rule.enhanced, rule.words) for rule in RULES}) == len(RULES)
