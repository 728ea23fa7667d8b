"""Relays: listed, added, changed, paused, removed, tried. Agents read them; admins change them."""

import uuid
from collections.abc import Sequence
from typing import cast

from asgiref.sync import async_to_sync
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.api.answers import Answer
from apps.api.schema import documents, page_of
from apps.api.serializers.queries import PageQuery
from apps.api.serializers.relays import (
    NewRelaySerializer,
    RelayChangeSerializer,
    RelaySerializer,
    RelayTestAnswerSerializer,
    RelayTestSerializer,
)
from apps.api.views.base import ApiView
from apps.outbound.limits.selectors import use_of_relays
from apps.outbound.models import Relay
from apps.outbound.relays.selectors import health_of, relay_for, relays_for
from apps.outbound.relays.services import add_relay, change_relay, pause_relay, remove_relay, resume_relay
from apps.outbound.relays.trial import demand_may_try, try_relay
from apps.outbound.relays.wishes import RelayWishes


class _RelaysOwn(ApiView):
    def read_wishes(self, kind: type[RelayChangeSerializer]) -> RelayWishes:
        """The body; `kind` has checked each field's name and type."""
        return cast("RelayWishes", self.read_body(kind))

    def answer(self, relay: Relay, *, status: int = 200) -> Response:
        return Response(RelaySerializer(relay_answers(self.principal, [relay])[0]).data, status=status)


class RelaysView(_RelaysOwn):
    """The organisation's own relays and those of RELAY_URL."""

    @documents(
        "list_relays",
        "Relays with their health, newest first",
        answers={200: page_of(RelaySerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(
            relays_for(self.principal),
            query,
            by="created_at",
            kind=RelaySerializer,
            describe=lambda rows: relay_answers(self.principal, rows),
        )

    @documents(
        "add_relay",
        "Add a relay",
        answers={201: RelaySerializer},
        request=NewRelaySerializer,
        problems=(400, 403),
    )
    def post(self, request: Request) -> Response:
        wishes = self.read_wishes(NewRelaySerializer)
        return self.answer(add_relay(self.principal, wishes, timezone.now()), status=201)


class RelayView(_RelaysOwn):
    """One relay."""

    @documents("get_relay", "A relay", answers={200: RelaySerializer}, problems=(404,))
    def get(self, request: Request, relay_id: uuid.UUID) -> Response:
        return self.answer(relay_for(self.principal, relay_id))

    @documents(
        "change_relay",
        "Change a relay",
        answers={200: RelaySerializer},
        request=RelayChangeSerializer,
        problems=(400, 403, 404, 409),
    )
    def patch(self, request: Request, relay_id: uuid.UUID) -> Response:
        relay = relay_for(self.principal, relay_id)
        wishes = self.read_wishes(RelayChangeSerializer)
        return self.answer(change_relay(self.principal, relay, wishes, timezone.now()))

    @documents(
        "remove_relay",
        "Remove a relay",
        answers={204: None},
        problems=(403, 404, 409),
    )
    def delete(self, request: Request, relay_id: uuid.UUID) -> Response:
        """Its attempts stay as evidence; what is bound to it waits for a person."""
        remove_relay(self.principal, relay_for(self.principal, relay_id), timezone.now())
        return Response(status=204)


class PauseRelayView(_RelaysOwn):
    """It is asked no more until it is resumed."""

    @documents("pause_relay", "Pause a relay", answers={200: RelaySerializer}, problems=(403, 404, 409))
    def post(self, request: Request, relay_id: uuid.UUID) -> Response:
        relay = relay_for(self.principal, relay_id)
        return self.answer(pause_relay(self.principal, relay, timezone.now()))


class ResumeRelayView(_RelaysOwn):
    """What waited for want of a relay is due at once."""

    @documents("resume_relay", "Resume a relay", answers={200: RelaySerializer}, problems=(403, 404, 409))
    def post(self, request: Request, relay_id: uuid.UUID) -> Response:
        relay = relay_for(self.principal, relay_id)
        return self.answer(resume_relay(self.principal, relay, timezone.now()))


class RelayTestView(ApiView):
    """A real conversation with the relay, explained; at most 20 seconds, and no message is sent."""

    @documents(
        "test_relay",
        "Try a relay",
        answers={200: RelayTestAnswerSerializer},
        request=RelayTestSerializer,
        problems=(400, 403, 404),
    )
    def post(self, request: Request, relay_id: uuid.UUID) -> Response:
        relay = relay_for(self.principal, relay_id)
        demand_may_try(self.principal)
        body = self.read_body(RelayTestSerializer)
        trial = async_to_sync(try_relay)(
            relay, sender=body.get("sender", ""), recipient=body.get("recipient", "")
        )
        return Response(RelayTestAnswerSerializer(trial).data)


def relay_answers(principal: Principal, relays: Sequence[Relay]) -> list[Answer]:
    """A page of relays with their health and limits, each in one round trip."""
    health = health_of(relays, timezone.now())
    limits = use_of_relays(relays, principal.organisation_id)
    return [{"relay": relay, "health": health[relay.pk], "limits": limits[relay.pk]} for relay in relays]
