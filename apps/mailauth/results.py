"""What was found out about a mail's sender, as it is kept with the message, answered by the API, and written for other
programs (RFC 8601).

Results are RFC 8601's words. `temperror` means that DNS gave no answer: nothing was found out, and nothing may be
concluded. Reasons are whole sentences for people; they quote domains and addresses, never text of the mail.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

PASS, FAIL, SOFTFAIL, NEUTRAL, NONE = "pass", "fail", "softfail", "neutral", "none"
TEMPERROR, PERMERROR = "temperror", "permerror"

# RFC 2045 §5.1's specials, besides what is no printable ASCII.
_TSPECIALS = frozenset('()<>@,;:\\"/[]?= ')


@dataclass(frozen=True, slots=True)
class SpfResult:
    """`domain` is the one that was asked about: of MAIL FROM, or HELO's where MAIL FROM is empty (`identity`).

    `explanation` is what the domain itself says to a `fail` (RFC 7208 §6.2): a stranger's words.
    """

    result: str
    reason: str
    domain: str = ""
    identity: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM signature and what it is worth. `digest` are the first characters of `b=`, which tell it from others.

    `covers_unsubscribe`: it holds, and over every field that says how a list is left (RFC 8058 §4).
    """

    result: str
    reason: str
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    digest: str = ""
    covers_unsubscribe: bool = False


@dataclass(frozen=True, slots=True)
class DkimResult:
    result: str
    reason: str
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True)
class ArcResult:
    """`sealers`: the domains that sealed the chain, the newest first. `vouched_by`: a trusted one of them, saying
    that the mail passed DMARC when it came to it.
    """

    result: str
    reason: str
    sealers: tuple[str, ...] = ()
    vouched_by: str = ""


@dataclass(frozen=True, slots=True)
class DmarcResult:
    """`policy` is what the domain asks of receivers for mail that fails: none, quarantine or reject; "" where it says
    nothing. `disposition` is what that comes to for this very mail: "none" unless the result is `fail`, and where the
    domain only tries its policy (pct=, t=y) or a trusted forwarder vouches for the mail. `proven_by`: what speaks for
    every domain in From, "signature" or "servers", whether it publishes a policy or not; "" when nothing does.
    """

    result: str
    reason: str
    domain: str = ""
    policy: str = ""
    disposition: str = NONE
    proven_by: str = ""


@dataclass(frozen=True, slots=True)
class Authentication:
    """All of it. `results_text` is the value of an Authentication-Results field, without folds."""

    spf: SpfResult
    dkim: DkimResult
    dmarc: DmarcResult
    arc: ArcResult
    results_text: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a JSON column."""
        told = asdict(self)
        told["authentication_results"] = told.pop("results_text")
        return told


def unchecked(result: str, reason: str) -> Authentication:
    """Nothing was looked at, and why."""
    return Authentication(
        SpfResult(result, reason),
        DkimResult(result, reason),
        DmarcResult(result, reason),
        ArcResult(result, reason),
    )


def results_text(server: str, spf: SpfResult, dkim: DkimResult, dmarc: DmarcResult, arc: ArcResult) -> str:
    """RFC 8601 §2.2. `server` is the authserv-id: who says so."""
    # §2.7.2: an empty MAIL FROM is told by HELO.
    spf_property = "smtp.helo" if spf.identity == "helo" else "smtp.mailfrom"
    said = [_method("spf", spf.result, spf.reason, [(spf_property, spf.domain)])]
    said += [
        _method(
            "dkim",
            one.result,
            one.reason,
            [
                ("header.d", one.domain),
                ("header.s", one.selector),
                ("header.a", one.algorithm),
                ("header.b", one.digest),
            ],
        )
        for one in dkim.signatures
    ] or [_method("dkim", dkim.result, dkim.reason, [])]
    published = f"p={dmarc.policy} dis={dmarc.disposition}" if dmarc.policy else dmarc.reason
    said.append(_method("dmarc", dmarc.result, published, [("header.from", dmarc.domain)]))
    said.append(_method("arc", arc.result, arc.reason, []))
    return "; ".join([_value(server), *said])


def _method(name: str, result: str, comment: str, properties: Sequence[tuple[str, str]]) -> str:
    told = [f"{name}={result}"]
    if comment:
        told.append(f"({_comment(comment)})")
    told += [f"{key}={_value(value)}" for key, value in properties if value]
    return " ".join(told)


def _comment(text: str) -> str:
    """RFC 5322 §3.2.2: nothing that would end the comment or begin another."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.translate(str.maketrans("()\\", "[]/"))


def _value(text: str) -> str:
    """RFC 8601 §2.2's pvalue: a token, or else a quoted string."""
    if text and all(
        character.isascii() and character.isprintable() and character not in _TSPECIALS for character in text
    ):
        return text
    inner = "".join(character if character.isprintable() else " " for character in text)
    return '"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '"'
