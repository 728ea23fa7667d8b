"""Domains: what to publish in DNS, whether it is there, and the keys mail is signed with. For admin keys."""

import uuid
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.errors import FieldInvalid
from apps.api.schema import documents, page_of
from apps.api.serializers.domains import (
    DomainChangeSerializer,
    DomainSerializer,
    NewDomainSerializer,
    NewKeysSerializer,
    SigningKeySerializer,
    WholeDomainSerializer,
)
from apps.api.serializers.queries import PageQuery
from apps.api.views.base import ApiView
from apps.mailboxes.domains import domain_for, domains_for, remove_domain, set_catch_all
from apps.mailboxes.errors import NotVisible
from apps.outbound.domains.checks import verdict_of
from apps.outbound.domains.tending import Setup, check_domain, claim_domain, setup_of
from apps.outbound.models import KeyAlgorithm, SigningKey
from apps.outbound.signing.keys import txt_strings
from apps.outbound.signing.rotation import activate, create_keys, discard, key_for, stop_signing


class DomainsView(ApiView):
    """The organisation's domains, and the way to claim one."""

    @documents(
        "list_domains",
        "Domains, newest first",
        answers={200: page_of(DomainSerializer)},
        query=PageQuery,
        problems=(404,),
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(domains_for(self.principal), query, by="created_at", kind=DomainSerializer)

    @documents(
        "add_domain",
        "Claim a domain, and make its signing keys",
        answers={201: WholeDomainSerializer},
        request=NewDomainSerializer,
        problems=(400, 404, 409),
    )
    def post(self, request: Request) -> Response:
        name = self.read_body(NewDomainSerializer)["name"]
        domain = claim_domain(self.principal, name, timezone.now())
        return Response(_whole(setup_of(domain)), status=201)


class DomainView(ApiView):
    """One domain with what it should publish; DNS is not asked."""

    @documents(
        "get_domain", "A domain and its DNS records", answers={200: WholeDomainSerializer}, problems=(404,)
    )
    def get(self, request: Request, domain_id: uuid.UUID) -> Response:
        return Response(_whole(setup_of(domain_for(self.principal, domain_id))))

    @documents(
        "change_domain",
        "Say where mail goes that is for nobody",
        answers={200: WholeDomainSerializer},
        request=DomainChangeSerializer,
        problems=(404,),
    )
    def patch(self, request: Request, domain_id: uuid.UUID) -> Response:
        domain = domain_for(self.principal, domain_id)
        wishes = self.read_body(DomainChangeSerializer)
        if "catch_all" in wishes:
            try:
                set_catch_all(self.principal, domain, wishes["catch_all"])
            except NotVisible as error:
                raise FieldInvalid("catch_all", "there is no such mailbox") from error
        return Response(_whole(setup_of(domain)))

    @documents("remove_domain", "Give a domain up, with its keys", answers={204: None}, problems=(404, 409))
    def delete(self, request: Request, domain_id: uuid.UUID) -> Response:
        remove_domain(self.principal, domain_for(self.principal, domain_id))
        return Response(status=204)


class CheckDomainView(ApiView):
    """Asks DNS for each record, within five seconds. What is seen for the first time takes effect: the domain is
    verified, a pending key signs."""

    @documents(
        "check_domain",
        "Look in DNS what of it is published",
        answers={200: WholeDomainSerializer},
        problems=(404,),
    )
    def post(self, request: Request, domain_id: uuid.UUID) -> Response:
        domain = domain_for(self.principal, domain_id)
        return Response(_whole(check_domain(domain, timezone.now())))


class DomainKeysView(ApiView):
    """Rotation begins here: new keys wait under names of their own until their records are published."""

    @documents(
        "create_signing_keys",
        "Make new signing keys, beside those in use",
        answers={201: WholeDomainSerializer},
        request=NewKeysSerializer,
        problems=(400, 404),
    )
    def post(self, request: Request, domain_id: uuid.UUID) -> Response:
        domain = domain_for(self.principal, domain_id)
        algorithms = [KeyAlgorithm(one) for one in self.read_body(NewKeysSerializer)["algorithms"]]
        create_keys(domain, timezone.now(), algorithms=algorithms, actor=self.principal.actor)
        return Response(_whole(setup_of(domain)), status=201)


class _KeyView(ApiView):
    def key(self, domain_id: uuid.UUID, key_id: uuid.UUID) -> SigningKey:
        return key_for(self.principal, key_id, domain=domain_for(self.principal, domain_id))


class ActivateKeyView(_KeyView):
    """For who knows that the record is there although we cannot see it. The key it replaces retires in a week."""

    @documents(
        "activate_signing_key",
        "Sign with a pending key at once",
        answers={200: SigningKeySerializer},
        problems=(404, 409),
    )
    def post(self, request: Request, domain_id: uuid.UUID, key_id: uuid.UUID) -> Response:
        key = self.key(domain_id, key_id)
        activate(key, timezone.now(), because="person", actor=self.principal.actor)
        return _key_answer(key)


class StopKeyView(_KeyView):
    """Its record should stay published for a week, for mail that is on its way."""

    @documents(
        "stop_signing_key",
        "Sign with this key no more",
        answers={200: SigningKeySerializer},
        problems=(404, 409),
    )
    def post(self, request: Request, domain_id: uuid.UUID, key_id: uuid.UUID) -> Response:
        key = self.key(domain_id, key_id)
        stop_signing(key, timezone.now(), actor=self.principal.actor)
        return _key_answer(key)


class DiscardKeyView(_KeyView):
    """Only a key that never signed can be discarded."""

    @documents(
        "discard_signing_key",
        "Give up a pending key",
        answers={200: SigningKeySerializer},
        problems=(404, 409),
    )
    def post(self, request: Request, domain_id: uuid.UUID, key_id: uuid.UUID) -> Response:
        key = self.key(domain_id, key_id)
        discard(key, timezone.now(), actor=self.principal.actor)
        return _key_answer(key)


def _key_answer(key: SigningKey) -> Response:
    key.refresh_from_db()
    return Response(SigningKeySerializer(key).data)


def _whole(setup: Setup) -> dict[str, Any]:
    found = {finding.record.key: finding for finding in setup.findings or []}
    records = []
    for record in setup.records:
        finding = found.get(record.key)
        records.append(
            {
                "code": record.code,
                "type": record.type,
                "name": record.name,
                "value": record.value,
                "strings": txt_strings(record.value) if record.type == "TXT" else [],
                "why": record.why,
                "is_needed": record.is_needed,
                "verdict": finding.verdict.value if finding else None,
                "sentence": finding.sentence if finding else "",
                "found": finding.found if finding else (),
                "remarks": finding.remarks if finding else (),
            }
        )
    domain = setup.domain
    answer: dict[str, Any] = WholeDomainSerializer(
        {
            "id": domain.pk,
            "name": domain.name,
            "is_verified": domain.is_verified,
            "verified_at": domain.verified_at,
            "catch_all_id": domain.catch_all_id,
            "created_at": domain.created_at,
            "keys": setup.keys,
            "records": records,
            "mta_sts_policy": setup.mta_sts_policy,
            "verdict": verdict_of(setup.findings).value if setup.findings is not None else None,
        }
    ).data
    return answer
