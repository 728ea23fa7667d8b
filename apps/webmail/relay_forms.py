"""The relay form: what a person typed, as wishes, and back again with what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.http import QueryDict
from django.utils.translation import gettext as _

from apps.outbound.errors import RelayInvalid
from apps.outbound.models import CertificatePolicy, Lane, Relay, RelayKind, RelaySecurity
from apps.outbound.relays.wishes import RelayWishes


@dataclass(frozen=True, slots=True)
class TypedRelay:
    """The fields as they stand in the form. The password is never among them."""

    name: str = ""
    kind: str = RelayKind.SMARTHOST.value
    host: str = ""
    port: str = "587"
    security: str = RelaySecurity.STARTTLS.value
    certificates: str = CertificatePolicy.BY_SECURITY.value
    username: str = ""
    hello_name: str = ""
    priority: str = "10"
    weight: str = "1"
    sender_domains: str = ""
    recipient_domains: str = ""
    lanes: Sequence[str] = ()
    allow_private_networks: bool = False

    @classmethod
    def new(cls, kind: str) -> "TypedRelay":
        """What usually fits one of this kind: submission (RFC 6409) at a smarthost, port 25 at recipients' servers."""
        if kind == RelayKind.DIRECT:
            return cls(kind=kind, port="25", security=RelaySecurity.OPPORTUNISTIC)
        return cls()

    @classmethod
    def of(cls, relay: Relay) -> "TypedRelay":
        return cls(
            name=relay.name,
            kind=relay.kind,
            host=relay.host,
            port=str(relay.port),
            security=relay.security,
            certificates=relay.certificates,
            username=relay.username,
            hello_name=relay.hello_name,
            priority=str(relay.priority),
            weight=str(relay.weight),
            sender_domains=" ".join(relay.sender_domains),
            recipient_domains=" ".join(relay.recipient_domains),
            lanes=tuple(relay.lanes),
            allow_private_networks=relay.allow_private_networks,
        )

    @classmethod
    def typed_in(cls, posted: QueryDict, *, kind: str = "") -> "TypedRelay":
        """`kind` is that of a relay which has one already."""

        def text(name: str) -> str:
            return str(posted.get(name, "")).strip()

        return cls(
            name=text("name"),
            kind=kind or text("kind") or RelayKind.SMARTHOST,
            host=text("host"),
            port=text("port"),
            security=text("security"),
            certificates=text("certificates") or CertificatePolicy.BY_SECURITY,
            username=text("username"),
            hello_name=text("hello_name"),
            priority=text("priority"),
            weight=text("weight"),
            sender_domains=text("sender_domains"),
            recipient_domains=text("recipient_domains"),
            lanes=tuple(posted.getlist("lanes")),
            allow_private_networks=posted.get("allow_private_networks") == "1",
        )

    def wishes(self, posted: QueryDict) -> RelayWishes:
        """What it asks for. Raises RelayInvalid for numbers that are none.

        An empty password keeps the one that is there: it is not shown, so nobody can have left it in place.
        """
        is_direct = self.kind == RelayKind.DIRECT
        wishes = RelayWishes(
            name=self.name,
            kind=self.kind,
            host="" if is_direct else self.host,
            port=_number("port", self.port),
            security=self.security,
            certificates=self.certificates,
            username="" if is_direct else self.username,
            hello_name=self.hello_name,
            priority=_number("priority", self.priority),
            weight=_number("weight", self.weight),
            sender_domains=_words(self.sender_domains),
            recipient_domains=_words(self.recipient_domains),
            lanes=self.lanes,
            allow_private_networks=self.allow_private_networks,
        )
        password = str(posted.get("password", ""))
        if password or is_direct or not self.username:
            wishes["password"] = "" if is_direct or not self.username else password
        return wishes


@dataclass(frozen=True, slots=True)
class RelayForm:
    """The form as the page shows it: what was typed, what may be chosen, what is wrong."""

    typed: TypedRelay
    has_secret: bool = False
    errors: dict[str, str] = field(default_factory=dict)

    kinds = RelayKind.choices
    securities = RelaySecurity.choices
    certificate_policies = CertificatePolicy.choices
    lanes = Lane.choices


def _number(name: str, typed: str) -> int:
    try:
        return int(typed)
    except ValueError as error:
        raise RelayInvalid(name, _("That is not a number.")) from error


def _words(typed: str) -> list[str]:
    return typed.replace(",", " ").replace(";", " ").split()
