"""Bounces that people can read and programs were not meant to: a table of what mail systems write instead of a DSN.

Most are alike: a sentence that says that delivery failed, then recipients, each at the start of a line with the
server's words after it, then a copy of the mail. So the table holds sentences, and one reader finds the rest. A
sentence counts only in a mail that a mail system sent (`reading` sees to that), and what it is about is decided by our
own signature or Message-ID, never by the prose: a wrong guess here finds no delivery.

Sources: QSBMF (D. J. Bernstein, cr.yp.to/proto/qsbmf.txt) for qmail and those who copied it; Exim's specification,
"Customizing bounce and warning messages"; Postfix's bounce(5); sendmail's savemail.c; Microsoft's "NDR and SMTP
errors"; and the messages of many systems that the bounce parsers Sisimai and boogietools collect in public.

To teach it another system, add a line. Sentences are compared without regard to case and to where their lines break.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from apps.mime.clean import clean_line
from apps.outbound.bounces.delivery_status import STATUS, read_delivery_status
from apps.outbound.bounces.report import MAX_DIAGNOSTIC_CHARS, MAX_RECIPIENTS, Told
from apps.outbound.models import ReportAction

READ_CHARS = 64 * 1024
MAX_LINES = 400
MAX_LINES_OF_ONE = 12
WIDTH = 2000

_F, _D = ReportAction.FAILED, ReportAction.DELAYED


@dataclass(frozen=True, slots=True)
class Dialect:
    """A sentence by which a system's bounces are known, and what it means."""

    system: str
    sentence: str
    action: ReportAction


# Delays first: their texts often contain a sentence of the failures too.
DIALECTS = (
    Dialect("exim", "has not been delivered to all of its recipients after", _D),
    Dialect("exim", "has not yet been delivered to all of its recipients", _D),
    Dialect("exim", "has not been delivered to the following", _D),
    Dialect("postfix", "THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE", _D),
    Dialect("postfix", "Your message could not be delivered for more than", _D),
    Dialect("sendmail", "The following addresses had transient non-fatal errors", _D),
    Dialect("sendmail", "THIS IS A WARNING MESSAGE ONLY", _D),
    Dialect("gmail", "Delivery to the following recipient has been delayed", _D),
    Dialect("gmail", "There was a temporary problem delivering your message to", _D),
    Dialect("mdaemon", "The attached message had TRANSIENT non-fatal delivery errors", _D),
    Dialect("opensmtpd", "A message is delayed for more than", _D),
    Dialect("exchange", "Delivery to these recipients or groups is delayed", _D),
    # failures
    Dialect("qmail", "I'm afraid I wasn't able to deliver your message to the following addresses", _F),
    Dialect("qmail", "Hi. This is the", _F),
    Dialect("exim", "could not be delivered to one or more of its recipients", _F),
    Dialect("exim", "could not be delivered to all of its recipients", _F),
    Dialect("exim", "could not be delivered to one or more recipients", _F),
    Dialect("exim", "could not be delivered to one or more destinations", _F),
    Dialect("exim", "you have sent could not be delivered to one or more recipients", _F),
    Dialect("sendmail", "The following addresses had permanent fatal errors", _F),
    Dialect("sendmail", "The following addresses had permanent delivery errors", _F),
    Dialect("sendmail", "The following addresses had delivery problems", _F),
    Dialect("sendmail", "The following addresses had delivery errors", _F),
    Dialect("sendmail", "Transcript of session follows", _F),
    Dialect("exim", "recipient addresses that were incorrectly constructed", _F),
    Dialect("interscan", "Sent <<< RCPT TO:", _F),
    Dialect("ezweb", "The user(s) account is", _F),
    Dialect("exchange", "did not reach the following recipient(s)", _F),
    Dialect("exchange", "Delivery has failed to these recipients or", _F),
    Dialect("exchange", "Your message couldn't be delivered to", _F),
    Dialect("gmail", "Delivery to the following recipient failed permanently", _F),
    Dialect("gmail", "Delivery to the following recipients failed permanently", _F),
    Dialect("gmail", "There was a problem delivering your message to", _F),
    Dialect("gmail", "Your message wasn't delivered to", _F),
    Dialect("yahoo", "we were unable to deliver your message to the following address", _F),
    Dialect("yahoo", "Unable to deliver message to the following address", _F),
    Dialect("domino", "was not delivered to", _F),
    Dialect("domino", "------- Failure Reasons  --------", _F),
    Dialect("mdaemon", "The attached message had PERMANENT fatal delivery errors", _F),
    Dialect("opensmtpd", "while attempting to deliver a message for the following list of recipients", _F),
    Dialect("dragonfly", "There was an error delivering your mail to", _F),
    Dialect("mailmarshal", "The following recipients were affected", _F),
    Dialect("mimecast", "that you attempted to send to the following address could not be delivered", _F),
    Dialect("imail", "User mailbox exceeds allowed size", _F),
    Dialect("imail", "Unknown user:", _F),
    Dialect("imail", "undeliverable to", _F),
    Dialect("messaging-server", "Your message cannot be delivered to the following recipients", _F),
    Dialect("courier", "Your message to the following recipients cannot be delivered", _F),
    Dialect("groupwise", "The message that you sent was undeliverable to the following", _F),
    Dialect("workmail", "An error occurred while trying to deliver the mail to the following recipients", _F),
    Dialect("kddi", "Each of the following recipients was rejected by a remote mail server", _F),
    Dialect("unnamed", "The following recipients", _F),
    Dialect("m-filter", "以下のメールアドレスへの送信に失敗しました", _F),
    Dialect("unnamed", "The following recipients returned permanent errors", _F),
    Dialect("unnamed", "User's mailbox is full", _F),
    Dialect("unnamed", "The following address failed", _F),
    Dialect("unnamed", "Could not be delivered to:", _F),
)
_SENTENCES = tuple(
    (each, re.compile(r"\s+".join(re.escape(word) for word in each.sentence.split()), re.IGNORECASE))
    for each in DIALECTS
)
# Where the copy of the mail begins.
_COPY = re.compile(
    r"""^[ \t>]{0,40}(?:
        -+\s*(?:Below\ this\ line\ is|Enclosed\ is|This\ is)\ a\ copy\ of\ the\ message
      | -+\s*Original\ message | -+\s*Unsent\ message\ follows | -+\s*Message\ header\ follows
      | -+\s*Returned\ Message | -+\s*The\ header\ of\ the\ original\ message | -+\s*original\ mail\ info
      | Original\ message\ (?:follows|headers) | Message\ headers\ follow
      | Included\ is\ a\ copy\ of\ the\ message | Below\ is\ a\ copy\ of\ the\ original
      | The\ text\ you\ sent\ follows | Received:\s | Return-Path:\s | Additional\ Information\s*$
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_FIELDS = re.compile(
    r"^(?:Reporting-MTA|Original-Recipient|Final-Recipient|Action):", re.IGNORECASE | re.MULTILINE
)
_ADDRESS = r"[^\s<>()\[\]:;,\"'@]{1,64}@[^\s<>()\[\]:;,\"'@]{1,253}"
_ANYWHERE = re.compile(rf"(?<![^\s<(\[:;,\"'=])({_ADDRESS})")
# An address at the start of a line, perhaps after a mark or a label.
_AT_START = re.compile(
    rf"""(?:[-*>=\s]{{0,20}}|(?:Recipient(?:\ address)?|Failed\ address|To|Envelope\ to)\s*:\s*)"""
    rf"""["'<]{{0,2}}({_ADDRESS})[>"']{{0,2}}(.*)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_TO = re.compile(rf"^[ \t>]{{0,40}}To:[^\n]{{0,200}}?({_ADDRESS})", re.IGNORECASE | re.MULTILINE)
_OUR_OWN = re.compile(r"(?:MAIL\s+FROM|From|Sender|envelope-from)\s*:?\s*<?\s*$", re.IGNORECASE)
_CODE = re.compile(r"(?<![\d.])([45])\d\d(?![\d.])")
MESSAGE_ID = re.compile(r"^[ \t>]{0,40}Message-ID:\s*<([^<>\s]{3,900})>", re.IGNORECASE | re.MULTILINE)
RETURN_PATH = re.compile(r"^[ \t>]{0,40}Return-Path:\s*<([^<>\s]{3,320})>", re.IGNORECASE | re.MULTILINE)


def read_prose(text: str, *, failed: tuple[str, ...] = ()) -> tuple[str, tuple[Told, ...]]:
    """(the system's name, what its text tells); ("", ()) for a text that tells of no delivery.

    `failed` are the addresses that the header X-Failed-Recipients names, which Exim and Gmail write.
    """
    text = text[:READ_CHARS]
    fields = _FIELDS.search(text)
    if fields and (told := _read_fields(text, fields.start())):
        return "fields in the text", told
    for dialect, sentence in _SENTENCES:
        match = sentence.search(text)
        if match is None:
            continue
        said = text[match.start() :]
        copy = _COPY.search(said)
        told = tuple(_recipients(said[: copy.start()] if copy else said, dialect, match[0], failed))
        if not told and copy and (to := _TO.search(said, copy.start())):
            # Nobody is named but in the mail itself.
            words = clean_line(said[: copy.start()], MAX_DIAGNOSTIC_CHARS)
            told = (_told(_bare(to[1]), words, dialect.action),)
        if told:
            return dialect.system, told[:MAX_RECIPIENTS]
    if failed:
        words = clean_line(text, MAX_DIAGNOSTIC_CHARS)
        return "x-failed-recipients", tuple(_told(one, words, _F) for one in failed[:MAX_RECIPIENTS])
    return "", ()


def _read_fields(text: str, start: int) -> tuple[Told, ...]:
    """The fields of RFC 3464, written where people read: some gateways flatten the parts of a report into one."""
    copy = _COPY.search(text, start)
    told = read_delivery_status(text[start : copy.start() if copy else None].encode("utf-8", "replace"))
    return tuple(one for one in told if one.addresses)


def _recipients(said: str, dialect: Dialect, sentence: str, failed: tuple[str, ...]) -> Iterator[Told]:
    rest = said[len(sentence) :]
    found = _at_line_starts(rest)
    if not found:
        # No line begins with one: each address that the words mention, other than the sender's.
        words = clean_line(said, MAX_DIAGNOSTIC_CHARS)
        found = {_bare(one): words for one in islice(_mentioned(said), MAX_RECIPIENTS)}
    known = {one.lower() for one in found}
    for address in failed:
        if address.lower() not in known:
            found[address] = clean_line(rest, MAX_DIAGNOSTIC_CHARS)
    for address, words in found.items():
        yield _told(address, words or clean_line(said, MAX_DIAGNOSTIC_CHARS), dialect.action)


def _mentioned(said: str) -> Iterator[str]:
    for match in _ANYWHERE.finditer(said):
        if not _OUR_OWN.search(said, max(0, match.start() - 40), match.start()):
            yield match[1]


def _at_line_starts(said: str) -> dict[str, str]:
    """Each address that begins a line, with the words after it, up to the next one."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in said.split("\n", MAX_LINES)[:MAX_LINES]:
        match = _AT_START.match(line.strip()[:WIDTH])
        if match:
            current = found.setdefault(_bare(match[1]), [])
            current.append(match[2].strip(" :"))
        elif current is not None and len(current) < MAX_LINES_OF_ONE:
            current.append(line[:WIDTH].strip())
    return {
        address: clean_line(" ".join(lines), MAX_DIAGNOSTIC_CHARS)
        for address, lines in list(found.items())[:MAX_RECIPIENTS]
    }


def _bare(address: str) -> str:
    return address.rstrip(".>!?")


def _told(address: str, words: str, action: ReportAction) -> Told:
    status = STATUS.search(words)
    code = _CODE.search(words)
    given = status[1] if status else f"{code[1]}.0.0" if code else ""
    return Told(action=action, recipient=address, status=given, diagnostic=words)
