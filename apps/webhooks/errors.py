"""What can go wrong with webhooks. Each error carries the decision its catcher needs."""

from apps.accounts.errors import FieldInvalid


class WebhookError(Exception):
    """Anything this room raises."""


class WebhookInvalid(WebhookError, FieldInvalid):
    """It cannot be kept as it is; `field` names what to change. Edges answer 422."""


class WebhookNotActive(WebhookError):
    """It is switched off, so nothing can be pushed to it. Edges answer 409."""


class PushFailed(WebhookError):
    """The other side did not take an event; trying later is right. `code` is stable, `public` a sentence for a person.

    `status` is the HTTP answer, where there was one.
    """

    def __init__(self, code: str, public: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {public}")
        self.code = code
        self.public = public
        self.status = status


class AddressForbidden(PushFailed):
    """The name leads to an address nobody may make us talk to."""

    def __init__(self, public: str) -> None:
        super().__init__("address_forbidden", public)
