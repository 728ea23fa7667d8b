"""From a relay's row to where we connect and what we show there, password included."""

from apps.organisations.sealing import SealBroken, unseal
from apps.outbound.errors import RelayUnavailable
from apps.outbound.models import CertificatePolicy, Relay, RelaySecurity
from apps.outbound.relays.environment import endpoint_named
from apps.outbound.wire.endpoint import Endpoint


def endpoint_of(relay: Relay) -> Endpoint:
    """The endpoint of a smarthost. Raises RelayUnavailable where its password is not to be had."""
    if relay.from_environment:
        # By name, and for such rows alone: a tenant's relay of the same name must not get their password.
        known = endpoint_named(relay.name)
        if known is not None:
            return known
    return Endpoint(
        host=relay.host,
        port=relay.port,
        security=RelaySecurity(relay.security),
        username=relay.username,
        password=_password_of(relay),
        certificates=CertificatePolicy(relay.certificates),
        hello_name=relay.hello_name,
    )


def _password_of(relay: Relay) -> str:
    if relay.sealed_secret:
        try:
            return unseal(relay.sealed_secret, relay.seal_purpose).decode()
        except SealBroken as error:
            reason = f"the password of {relay.name} cannot be read: SECRET_KEY has changed. Type it in again"
            raise RelayUnavailable("auth", reason) from error
    if relay.username:
        raise RelayUnavailable("auth", f"the password for {relay.name} is not known to this worker")
    return ""
