"""rspamd over HTTP (rspamd.com/doc/developers/protocol.html): the mail to /checkv2, its envelope in headers.

What it advises for strangers' mail is not all fit for ours. `reject` is spam. `add header` and `rewrite subject` are
suspicion without proof: the mail goes, and its score is kept. `greylist` and `soft reject` would have a stranger come
again later; our own sender has nowhere else to come from, so they are noted and nothing more.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
from django.utils.translation import gettext as _

from apps.mime.clean import clean_line
from apps.screening.breaker import Breaker
from apps.screening.errors import ScannerUnavailable
from apps.screening.findings import Outcome
from apps.screening.verdict import Direction, Envelope, Policy, Verdict

NAME = "rspamd"
CONNECT_SECONDS = 2.0
QUICK_SECONDS = 1.0
VERSION_SECONDS = 60
MAX_RECIPIENTS_TOLD = 50
_MAX_ANSWER_BYTES = 1024 * 1024
_MAX_SYMBOLS = 12
# `discard` and `quarantine` are what an operator's own rules may say instead.
_REFUSING = frozenset({"reject", "discard", "quarantine"})


class RspamdScanner:
    """Safe to share between threads; connections are kept open between mails."""

    name = NAME

    def __init__(self, url: str, password: str = "") -> None:
        headers = {"Password": password} if password else {}
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers=headers,
            # The environment's proxies are for the web, and the URL is all we were told.
            trust_env=False,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=4, keepalive_expiry=5),
        )
        self._breaker = Breaker(NAME, is_alive=self.ping)
        self._version = ""
        self._version_until = 0.0

    def scan(
        self, raw: bytes, direction: Direction, envelope: Envelope, policy: Policy, *, timeout_seconds: float
    ) -> Verdict:
        """Raises ScannerUnavailable when rspamd does not answer within the time, or not with a verdict."""
        headers = _envelope_headers(envelope, direction)
        return self._breaker.call(
            lambda: _judge(self._request("POST", "/checkv2", timeout_seconds, content=raw, headers=headers))
        )

    def version(self) -> str:
        """rspamd's version; "" while it does not answer. Asked once a minute.

        Its learning changes from mail to mail and has no number; a mail that was refused gets another look from a
        new version alone.
        """
        if time.monotonic() >= self._version_until:
            try:
                server = self._breaker.call(lambda: self._request("GET", "/ping", QUICK_SECONDS)).headers.get(
                    "server", ""
                )
            except ScannerUnavailable:
                return ""
            self._version = clean_line(server, 60) or NAME
            self._version_until = time.monotonic() + VERSION_SECONDS
        return self._version

    def ping(self) -> None:
        """Raises ScannerUnavailable unless rspamd lives."""
        self._request("GET", "/ping", QUICK_SECONDS)

    def close(self) -> None:
        self._client.close()

    def _request(self, method: str, path: str, seconds: float, **more: Any) -> httpx.Response:
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            response = self._client.request(method, path, timeout=timeout, **more)
        except httpx.TimeoutException as error:
            raise ScannerUnavailable(NAME, _("The spam filter (rspamd) did not answer in time")) from error
        except httpx.HTTPError as error:
            raise ScannerUnavailable(NAME, _("The spam filter (rspamd) cannot be reached")) from error
        if response.status_code != 200 or len(response.content) > _MAX_ANSWER_BYTES:
            raise ScannerUnavailable(
                NAME, _("The spam filter (rspamd) answered %(status)d") % {"status": response.status_code}
            )
        return response


def _envelope_headers(envelope: Envelope, direction: Direction) -> list[tuple[str, str]]:
    """What rspamd reads the envelope from. `User` says that the sender has signed in: it is mail going out."""
    headers = [("From", _header(envelope.sender))]
    headers += [("Rcpt", _header(one)) for one in envelope.recipients[:MAX_RECIPIENTS_TOLD]]
    if direction == Direction.OUT:
        headers.append(("User", _header(envelope.sender)))
    return headers


def _header(value: str) -> str:
    """One line of Latin letters: HTTP allows no other. An address in other letters is written with escapes."""
    return clean_line(value).encode("ascii", "backslashreplace").decode("ascii")


def _judge(response: httpx.Response) -> Verdict:
    try:
        answer = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ScannerUnavailable(NAME, _("The spam filter (rspamd) gave no verdict")) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("action"), str):
        raise ScannerUnavailable(NAME, _("The spam filter (rspamd) gave no verdict"))
    action, details = answer["action"], _details(answer)
    if action not in _REFUSING:
        return Verdict(Outcome.CLEAN, NAME, details=details)
    reason = _("The spam filter (rspamd) takes this mail for spam (score %(score)s).") % {
        "score": _score(answer)
    }
    return Verdict(Outcome.SPAM, NAME, "spam", reason, details)


def _score(answer: Mapping[str, Any]) -> str:
    score = answer.get("score")
    return f"{score:.1f}" if isinstance(score, int | float) else "?"


def _details(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The action, the score, and the symbols that weighed most."""
    symbols = answer.get("symbols")
    weights = {
        clean_line(str(name), 60): one.get("score", 0)
        for name, one in (symbols.items() if isinstance(symbols, dict) else ())
        if isinstance(one, dict) and isinstance(one.get("score", 0), int | float)
    }
    heaviest = sorted(weights, key=lambda name: -abs(weights[name]))[:_MAX_SYMBOLS]
    return (
        f"{answer['action']}, score {_score(answer)}",
        *(f"{name} {weights[name]:+.1f}" for name in heaviest),
    )
