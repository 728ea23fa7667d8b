"""A request's body that is JSON and not what was asked for is kept in the error queue too, as it came."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from apps.accounts.principal import Principal
from apps.api.problems import field_errors
from apps.outbound.errors import FieldFault, SubmissionInvalid
from apps.outbound.models import RefusedSubmission
from apps.outbound.submission.quotas import check_quota
from apps.outbound.submission.refused import keep_refused
from apps.tickets.models import Ticket


def check_or_keep(
    principal: Principal,
    asked: Any,
    kind: type[serializers.Serializer[Any]],
    *,
    key: str | None,
    mends: RefusedSubmission | None = None,
    ticket: Ticket | None = None,
) -> dict[str, Any]:
    """The body, checked by `kind`. Raises SubmissionInvalid, by then kept, and QuotaReached before anything is kept."""
    serializer = kind(data=asked)
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        now = timezone.now()
        check_quota(principal, 1, now)
        faults = [FieldFault(one.field, one.detail, one.code) for one in field_errors(error.detail)]
        refused = SubmissionInvalid.because(faults)
        keep_refused(principal, asked, refused, now=now, key=key, mends=mends, ticket=ticket)
        raise refused from error
    checked: dict[str, Any] = serializer.validated_data
    return checked
