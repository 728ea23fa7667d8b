"""Is a received mail to be filed at once, or held for a person? Asked after the 250 and before any transaction.

    look         the scanners, in processes that can be killed and within their time (`screening`)
    infected     a virus: always held, and let in by an admin alone
    unlooked     a scanner does not answer
    forbidden    programs under any name, macros that run by themselves, bombs; unless the organisation wants them
    spam         rspamd says so, or the filter that learns from what the organisation's people mark
    DMARC        the sender's domain asks that mail which fails be rejected or quarantined (RFC 7489 §6.3)

All of them are asked and the worst is the cause; the others stand in the evidence. Nothing is refused and nothing is
dropped: the worst that can happen to a mail is that somebody has to press a button.

A scanner that does not answer holds nothing at first: the mail is asked about again, without an attempt being counted,
for `PATIENCE`. Then it is held, whatever else there is against it, and judged anew by `judge_again` as soon as every
scanner answers. One on which a scanner fails each time is tried again ever less often, and at least every `PATIENCE`.

A sender whom the organisation trusts is spared the spam filter, when it is proven that the mail is theirs: by DMARC, or
where their domain publishes none by SPF or a signature of their domain. A mail that fails DMARC proves nothing, so
trust cannot let it in.

The filter that learned is not asked about mail of somebody who answers us.

A report on a mail of ours is acted on whatever this says, for what it tells must not wait. But anybody who ever had
mail of ours can make one up: one that carries something harmful, or that no scanner could look at, is held at once
(`Hold.is_harmful`), and only the others lie beneath that mail.

Limits: mail of colleagues (`submit_message`) is screened when it is submitted and never comes here. A report is not
held for being spam or forged: relays that report in their customers' names would be.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Protocol

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest, Least, Now
from django.utils.translation import gettext as _

from apps.erasure.models import Erasure, ErasureState
from apps.events.notices import announce
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.spam_words import told_clues
from apps.inbound.wakeups import INGEST
from apps.mailboxes.models import Direction, Message, digest_of_message_id
from apps.mailboxes.projection import PreparedMessage
from apps.mime.address import comparable_address
from apps.mime.message import ParsedMessage
from apps.screening.findings import Outcome
from apps.screening.screen import UNAVAILABLE, all_answer, screen_received
from apps.screening.verdict import Envelope, Policy, Verdict
from apps.tickets.holding import Hold
from apps.tickets.models import (
    DmarcWish,
    ForbiddenFiles,
    HeldMessage,
    HeldState,
    HoldCause,
    LockedArchives,
    SpamWish,
)
from apps.tickets.spam import score_of
from apps.tickets.trust import names_of, proves_sender
from apps.tickets.wishes import Wishes, wishes_of

PATIENCE = timedelta(minutes=10)
# Measured on 6,046 mails, see docs/decisions/0024: of 1,000 good mails two or three reach it.
SPAM_FROM = 0.999
JUDGED_AGAIN_AT_ONCE = 50
RECIPIENTS_TOLD = 50
CLUES_KEPT = 12
REFERENCES_ASKED = 20
_WORST_FIRST = tuple(HoldCause)
_HARMFUL = frozenset(
    {
        HoldCause.INFECTED,
        HoldCause.SCANNER_UNAVAILABLE,
        HoldCause.FORBIDDEN_FILE,
        HoldCause.UNSCANNABLE,
    }
)


class Authenticated(Protocol):
    """What was found out about a mail's sender, as it is kept with the mail."""

    def as_json(self) -> dict[str, Any]: ...


def judge(
    received: ReceivedMessage,
    prepared: PreparedMessage,
    raw: bytes,
    authentication: Authenticated | None,
    *,
    now: datetime,
) -> Hold | None:
    """Why the mail is to be held, or None. Takes as long as the scanners; no transaction may be open."""
    parsed = prepared.parsed
    wishes = wishes_of(received.organisation_id, names_of(parsed.sender.address))
    found_out = authentication.as_json() if authentication is not None else {}
    against = screen_received(
        raw,
        envelope=Envelope(received.envelope_sender, tuple(received.recipients[:RECIPIENTS_TOLD])),
        policy=Policy(
            rejects_closed_archives=wishes.locked_archives == LockedArchives.HOLD,
            allows_forbidden_files=wishes.forbidden_files == ForbiddenFiles.ALLOW,
        ),
    )
    is_proven = proves_sender(found_out)
    holds = [
        _by_scanner(against.get(Outcome.INFECTED), HoldCause.INFECTED),
        _by_scanner(against.get(Outcome.FORBIDDEN), HoldCause.FORBIDDEN_FILE),
        None
        if wishes.spam == SpamWish.ALLOW or (wishes.trusts_sender and is_proven)
        else _spam(received, parsed, wishes, against.get(Outcome.SPAM)),
        _dmarc(found_out, wishes),
        _unlooked(against.get(Outcome.UNSCANNABLE)),
    ]
    reasons = sorted(
        (hold for hold in holds if hold is not None), key=lambda one: _WORST_FIRST.index(one.cause)
    )
    if not reasons:
        return None
    is_early = Outcome.UNSCANNABLE in against and now - received.received_at < PATIENCE
    return _worst(
        reasons,
        look_again=is_early and reasons[0].cause != HoldCause.INFECTED,
        says_trust_is_no_help=wishes.trusts_sender and not is_proven,
    )


def _worst(reasons: list[Hold], *, look_again: bool, says_trust_is_no_help: bool) -> Hold:
    worst, *others = reasons
    reason = worst.reason
    if says_trust_is_no_help and worst.cause in {
        HoldCause.SPAM,
        HoldCause.DMARC_REJECT,
        HoldCause.DMARC_QUARANTINE,
    }:
        reason += " " + _("You trust this sender, but nothing proves that this mail is theirs.")
    also = tuple(_("Besides: %(reason)s") % {"reason": one.reason} for one in others)
    is_harmful = any(one.cause in _HARMFUL for one in reasons)
    return replace(
        worst, reason=reason, details=(*worst.details, *also), look_again=look_again, is_harmful=is_harmful
    )


def _by_scanner(verdict: Verdict | None, cause: HoldCause) -> Hold | None:
    return Hold(cause, verdict.reason, verdict.details) if verdict is not None else None


def _unlooked(verdict: Verdict | None) -> Hold | None:
    if verdict is None:
        return None
    away = verdict.code == UNAVAILABLE
    cause = HoldCause.SCANNER_UNAVAILABLE if away else HoldCause.UNSCANNABLE
    reason = _("%(reason)s. It is looked at as soon as that changes.") if away else "%(reason)s"
    return Hold(cause, reason % {"reason": verdict.reason.rstrip(".") if away else verdict.reason})


def _spam(
    received: ReceivedMessage, parsed: ParsedMessage, wishes: Wishes, verdict: Verdict | None
) -> Hold | None:
    if verdict is not None:
        return _by_scanner(verdict, HoldCause.SPAM)
    score = score_of(received.organisation_id, parsed, wishes.learned)
    if score is None or score.value < SPAM_FROM or _answers_us(received, parsed):
        return None
    clues = told_clues(score.because)
    reason = _("It is much like mail that your team has marked as spam: %(clues)s.")
    evidence = tuple(f"{clue} {share:.0%}" for clue, share in score.because[:CLUES_KEPT])
    learned = _("Score %(score).4f, from %(spam)d mails of spam and %(ham)d of others.") % {
        "score": score.value,
        "spam": wishes.learned.spam,
        "ham": wishes.learned.ham,
    }
    return Hold(HoldCause.SPAM, reason % {"clues": clues}, (learned, *evidence))


def _answers_us(received: ReceivedMessage, parsed: ParsedMessage) -> bool:
    """Whether it answers a mail that we wrote to this very sender, in whatever case we wrote the address."""
    references = [*parsed.in_reply_to, *reversed(parsed.references)][:REFERENCES_ASKED]
    if not references or not parsed.sender.address:
        return False
    sender = comparable_address(parsed.sender.address)
    ours = Message.objects.filter(
        organisation_id=received.organisation_id,
        rfc_message_id_digest__in=[digest_of_message_id(one) for one in references],
        direction=Direction.OUT,
    )
    return any(
        comparable_address(one["address"]) == sender
        for addressed in ours.values_list("to", "cc")
        for one in chain(*addressed)
    )


def _dmarc(found_out: dict[str, Any], wishes: Wishes) -> Hold | None:
    """RFC 7489 §6.6.2: what the policy of the sender's domain comes to for this mail."""
    dmarc = found_out.get("dmarc", {})
    disposition = dmarc.get("disposition", "none")
    if dmarc.get("result") != "fail" or wishes.dmarc == DmarcWish.IGNORE:
        return None
    why = tuple(
        f"{name}: {found_out[name]['reason']}"
        for name in ("dmarc", "spf", "dkim", "arc")
        if name in found_out
    )
    domain = dmarc.get("domain") or _("The domain it names")
    if disposition == "reject":
        asks = _(
            "It may be forged: %(domain)s asks everybody to refuse mail that does not prove to be its own."
        )
        return Hold(HoldCause.DMARC_REJECT, asks % {"domain": domain}, why)
    if disposition == "quarantine" and wishes.dmarc == DmarcWish.OBEY:
        asks = _(
            "It may be forged: %(domain)s asks everybody to look twice at mail that does not prove to be its own."
        )
        return Hold(HoldCause.DMARC_QUARANTINE, asks % {"domain": domain}, why)
    return None


# what no scanner has looked at


def judge_again() -> int:
    """Give what was held for want of a scanner back to ingest, once all of them answer; how many mails.

    A scanner that lives may yet fail on one mail, which is too large for it or takes too long. So a mail that was held
    for want of it again rests as long as it has gone round, up to `PATIENCE`. A report, which is held at once, rests
    until other mail would have been held.

    While an organisation erases a customer its mail stays held: the erasure knows whose it is there, and could pass a
    mail by that was neither held nor filed when it looked.
    """
    gone_round = F("held_at") - F("received_at")
    rest = Least(Greatest(gone_round - PATIENCE, PATIENCE - gone_round), PATIENCE)
    erasing = Erasure.objects.filter(state=ErasureState.RUNNING).values("organisation")
    waiting = HeldMessage.objects.filter(
        cause=HoldCause.SCANNER_UNAVAILABLE, state=HeldState.WAITING, held_at__lte=Now() - rest
    ).exclude(organisation__in=erasing)
    if not waiting.exists() or not all_answer():
        return 0
    with transaction.atomic():
        locked = waiting.select_for_update(skip_locked=True).order_by("held_at")[:JUDGED_AGAIN_AT_ONCE]
        # Asked again now that they are locked: an erasure that began meanwhile waits for these locks (`erasing`).
        held = list(waiting.filter(pk__in=[one.pk for one in locked]))
        received = ReceivedMessage.objects.filter(held__in=held, state=ReceivedState.HELD)
        kept = set(received.values_list("held", flat=True))
        received.update(state=ReceivedState.ACCEPTED, held=None, attempts=0, due_at=Now())
        for one in held:
            if one.pk in kept:
                announce(list(one.mailboxes.values_list("pk", flat=True)), "held")
                one.delete()
    INGEST.call()
    return len(kept)
