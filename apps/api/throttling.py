"""How many requests a key may make, as DRF asks for it: `accounts.request_rate`."""

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from apps.accounts.principal import Principal
from apps.accounts.request_rate import may_ask, seconds_to_wait


class KeyThrottle(BaseThrottle):
    """429 with `Retry-After` for a key's request beyond its rate."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        principal = request.auth
        return not isinstance(principal, Principal) or may_ask(principal)

    def wait(self) -> float:
        return seconds_to_wait()
