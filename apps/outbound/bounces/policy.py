"""What kind of failure a server reports, and whether we go on writing to the address. The whole policy is here.

A server says why in a status (RFC 3463) and in words, and the words are often the truer half: "552 5.1.1 mailbox full"
is a full mailbox. So the words are asked first, by the table below, and the status decides where they say nothing.

What follows for the address:

- **it does not exist** (no such user, no such domain, moved away) or **was closed**: one such bounce is enough. Asking
  again would only teach the other side that we do not listen, and it is what blocklists are made from. The address is
  suppressed for 90 days; if it bounces again after that, twice as long each time, up to a year, because people come
  back, domains change hands and mail systems have bad days.
- **refused for good without a reason we know**: it may be us and it may be the address. The third such bounce within
  30 days suppresses it, like the above.
- **refused in our own conversation** ("550 5.1.1" to RCPT) as not existing or closed: the answer is at once and our own
  evidence, and asking again costs one command. The third within 30 days suppresses all the same, for the servers that
  count such questions against us.
- **mailbox full, too large, content or sender refused, blocked as spam, tried in vain for days, a loop**: the mail did
  not arrive and that is told, but nothing is wrong with the address: never suppressed.
- **a complaint**, and a wish to be left alone: suppressed until a person removes it. Whoever pressed "this is spam" has
  said what they want.

Only a report that bears a delivery's signed return path suppresses. One that was matched by its Message-ID alone
changes the delivery and no more: every recipient of a mail knows that id, and could silence the others with it.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from apps.outbound.bounces.report import Told
from apps.outbound.models import ReportAction


class Nature(StrEnum):
    """Why a mail did not arrive, as far as it matters for what we do next."""

    NO_SUCH_ADDRESS = "no_such_address"
    NO_SUCH_DOMAIN = "no_such_domain"
    CLOSED = "address_closed"
    MAILBOX_FULL = "mailbox_full"
    TOO_LARGE = "too_large"
    BLOCKED = "blocked"
    CONTENT = "content_refused"
    SENDER = "sender_refused"
    RATE = "rate_limited"
    LOOP = "loop"
    TIMED_OUT = "tried_in_vain"
    UNKNOWN = "unknown"


# In the order in which they are asked; the first that occurs decides.
_WORDS = (
    (
        Nature.MAILBOX_FULL,
        r"mailbox (?:is |was )?full|full mailbox|over ?quota|quota (?:exceeded|limit)|exceed\w* (?:\w+ )?quota"
        r"|exceed(?:s|ed)? allowed size|not enough (?:disk )?space|insufficient (?:system )?storage"
        r"|out of storage|storage quota|mailbox exceeded|exceeded the (?:local|mailbox) limit",
    ),
    (
        Nature.TOO_LARGE,
        r"message (?:is )?too (?:large|big)|message size exceeds|exceeds (?:\w+ )*(?:message|size) (?:size )?limit"
        r"|message length exceeds|recipsizelimit|larger than the (?:\w+ )?(?:limit|current)",
    ),
    (
        Nature.RATE,
        r"too (?:many|much) (?:messages|connections|mail|recipients)|rate limit|frequency limit|throttl"
        r"|temporarily deferred|sending quota exceeded|(?:at|exceeded) (?:a|the) rate",
    ),
    (
        Nature.SENDER,
        r"sender (?:address )?(?:rejected|denied|verify)|\bspf\b|\bdkim\b|\bdmarc\b|unauthenticated|reverse dns"
        r"|ptr record|authentication (?:checks|required)|domain of sender|sending domain|sender was rejected"
        r"|relay(?:ing)? (?:access )?denied"
        r"|not allowed to (?:send|relay)|does not resolve",
    ),
    (
        Nature.BLOCKED,
        r"spam|blocked|block ?list|black ?list|blacklisted|denylist|rbl\b|dnsbl|reputation|spamhaus|barracuda|abuseat"
        r"|banned|policy (?:violation|reasons)|suspicious|bulk (?:e?mail)|unsolicited|access denied"
        r"|network not allowed|invalid ip|listed (?:in|at|by)",
    ),
    (
        Nature.CONTENT,
        r"virus|malware|content (?:rejected|refused|presents)|attachment (?:type )?(?:rejected|blocked|not allowed)"
        r"|prohibited|header error|bad (?:header|content)|8-bit data",
    ),
    (Nature.LOOP, r"hop count|mail loop|loops back|too many hops|routing loop"),
    (
        Nature.NO_SUCH_DOMAIN,
        r"host(?: or domain name)? not found|domain (?:does not exist|not found|is not valid)|invalid domain"
        r"|nxdomain|domain name not found|unrouteable (?:mail )?(?:address|domain)|host unknown|null mx"
        r"|couldn't find any host|couldn't find a mail exchanger|bad destination (?:host|system)"
        r"|does not accept (?:e?mail|messages)|name service error",
    ),
    (
        Nature.CLOSED,
        r"account (?:is |has been |was )?(?:disabled|inactive|closed|suspended|deactivated|expired|frozen)"
        r"|(?:mailbox|user|recipient) (?:is |has been |was )?(?:disabled|inactive|closed|suspended|frozen|deactivated)"
        r"|inactive (?:user|mailbox|recipient|account)|: inactive|no longer (?:on server|active|valid|works)"
        r"|has moved|this account has been",
    ),
    (
        Nature.NO_SUCH_ADDRESS,
        r"(?:user|address|account|mailbox|recipient)s?(?: \S+)? (?:is )?(?:unknown|not (?:found|exist|known)|invalid)"
        r"|unknown (?:user|recipient|address|account|mailbox|or illegal)"
        r"|no such (?:user|recipient|mailbox|address|person)"
        r"|does(?: not|n't) exist|no (?:mailbox|user) (?:here|by that)|not a (?:valid|known|registered)"
        r"|invalid (?:recipient|mailbox|address|user)|recipnotfound|recipient name is not recognized"
        r"|doesn't have (?:a|an) \S+ account|mailbox unavailable|not our customer|couldn't be found"
        r"|no longer available|user not (?:local|exist)|recipient not found",
    ),
    (
        Nature.TIMED_OUT,
        r"timed out|time-?out|message expired|expired|giving up|retry timeout|unable to deliver in"
        r"|not accept our requests"
        r"|connection refused|too long|(?:for|after) the last \d+|unable to connect|connection (?:lost|reset)",
    ),
)
_TABLE = tuple((nature, re.compile(words, re.IGNORECASE)) for nature, words in _WORDS)

# RFC 3463 §3, RFC 7372, RFC 7505 §4.2 (5.1.10, a null MX; Exchange says it for a recipient it cannot find), and
# Microsoft's own 5.1.351, 5.4.310 and 5.7.5xx.
_BY_STATUS = (
    (Nature.NO_SUCH_DOMAIN, r"[45]\.1\.2|[45]\.4\.4|[45]\.4\.310|5\.1\.10|[45]\.1\.351"),
    (Nature.NO_SUCH_ADDRESS, r"5\.1\.[136]"),
    (Nature.CLOSED, r"5\.2\.1"),
    (Nature.MAILBOX_FULL, r"[45]\.2\.2"),
    (Nature.TOO_LARGE, r"[45]\.2\.3|[45]\.3\.4"),
    (Nature.SENDER, r"[45]\.1\.[78]|[45]\.7\.(?:2[0-9]|509|515|51[0-9])"),
    (Nature.RATE, r"[45]\.3\.2|[45]\.4\.5|[45]\.7\.28|[45]\.2\.1"),
    (Nature.LOOP, r"[45]\.4\.6|[45]\.4\.14"),
    (Nature.TIMED_OUT, r"[45]\.4\.(?:[17]|30\d|31\d)|4\..*"),
    (Nature.CONTENT, r"[45]\.6\.\d+"),
    (Nature.BLOCKED, r"[45]\.7\.\d+"),
)
_STATUSES = tuple((nature, re.compile(pattern)) for nature, pattern in _BY_STATUS)

_VAGUE = frozenset({Nature.BLOCKED, Nature.SENDER, Nature.TIMED_OUT})
_AT_ONCE = frozenset({Nature.NO_SUCH_ADDRESS, Nature.NO_SUCH_DOMAIN, Nature.CLOSED})


def nature_of(status: str, diagnostic: str) -> Nature:
    """What kind of failure a status and a server's words describe."""
    said = [nature for nature, words in _TABLE if words.search(diagnostic)]
    if said and said[0] in _VAGUE and status == "5.1.1":
        # "5.1.1 User unknown. See https://…/spam-policy": a link's words, and a status that means one thing.
        said = [nature for nature in said if nature not in _VAGUE] or said
    if said:
        return said[0]
    return next((nature for nature, pattern in _STATUSES if pattern.fullmatch(status)), Nature.UNKNOWN)


@dataclass(frozen=True, slots=True)
class SuppressionPolicy:
    """The numbers of the policy above."""

    at_once: frozenset[Nature] = _AT_ONCE
    after_some: frozenset[Nature] = frozenset({Nature.UNKNOWN})
    some: int = 3
    refusals: int = 3
    within: timedelta = timedelta(days=30)
    first: timedelta = timedelta(days=90)
    longest: timedelta = timedelta(days=360)

    def bounces_needed(self, nature: Nature) -> int | None:
        """How many bounces of this nature within `within` suppress an address; None: however many, they do not."""
        if nature in self.at_once:
            return 1
        return self.some if nature in self.after_some else None

    def holds_until(self, now: datetime, *, earlier: int) -> datetime:
        """When a suppression for a hard bounce ends, after `earlier` ones of the same address."""
        doubled: timedelta = self.first * 2 ** min(earlier, 16)
        return now + min(doubled, self.longest)


DEFAULT_SUPPRESSION_POLICY = SuppressionPolicy()


def is_final(told: Told) -> bool:
    """Whether the mail will not arrive at this recipient. The action says so (RFC 3464 §2.3.3): a server that gives up
    after days reports `failed` with a status 4.y.z."""
    return told.action == ReportAction.FAILED
