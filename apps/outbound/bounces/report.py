"""What a report says, whichever of the many ways it says it in."""

from dataclasses import dataclass, field

from apps.outbound.models import ReportAction

MAX_DIAGNOSTIC_CHARS = 1000
MAX_RECIPIENTS = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What a report tells of one recipient.

    `recipient` is whom the server tried, `original` whom we had written to, where it tells; both as written, "" where
    it does not. `status` is RFC 3463's code, `diagnostic` the server's words, `server` who said them.
    """

    action: ReportAction
    recipient: str = ""
    original: str = ""
    status: str = ""
    diagnostic: str = ""
    server: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those it may be about, the surer first."""
        return tuple(dict.fromkeys(one for one in (self.original, self.recipient) if one))


@dataclass(frozen=True, slots=True)
class Returned:
    """What a report quotes of the mail it is about: enough to find it again."""

    message_id: str = ""
    return_paths: tuple[str, ...] = ()
    is_automatic: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report. `dialect` names how it was written, for evidence and for counting."""

    dialect: str
    told: tuple[Told, ...]
    returned: Returned = field(default_factory=Returned)

    @property
    def is_complaint(self) -> bool:
        return any(one.action in {ReportAction.COMPLAINED, ReportAction.UNSUBSCRIBED} for one in self.told)
