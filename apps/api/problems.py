"""Every error the API answers, as `application/problem+json` (RFC 9457).

One table says which failure of a room below becomes which status. `type` is `about:blank`, which by RFC 9457 §4.2.1
means that the status says it all; what a program should branch on is `code`, and `errors` names each wrong field the
way the request wrote it: `attachments[0].content`.

A server of ours that is away is 503 with `Retry-After`, so that a client tries again. Nothing was done then, with one
exception that nobody can tell from outside: the line to PostgreSQL may break during a commit. That is what idempotency
keys are for.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.request import UnreadablePostError
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.response import Response

from apps.accounts.errors import AdminsOnly, FieldInvalid, ReadOnly
from apps.blobs.errors import ObjectStoreUnavailable
from apps.mailboxes.errors import DomainClaimed, DomainInUse, NotVisible
from apps.outbound.errors import IdempotencyConflict, NotPossibleNow, QuotaReached, SubmissionInvalid
from apps.tickets.errors import MoveNotPossible, NotHeld
from apps.webhooks.errors import WebhookNotActive

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
BODY = "body"
RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field, which is named as a path into the request: `to[1]`, `headers.X-Order`."""

    field: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is answered. `code` is stable; `detail` is a sentence for a person."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    more: tuple[tuple[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As RFC 9457 §3.1 has it. What a request said may be quoted in it, and need not be text."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": _as_text(self.detail),
            "errors": [
                {"field": _as_text(error.field), "code": error.code, "detail": _as_text(error.detail)}
                for error in self.errors
            ],
            **dict(self.more),
        }

    def as_response(self) -> Response:
        return Response(
            self.as_dict(), status=self.status, headers=dict(self.headers), content_type=MEDIA_TYPE
        )


def _as_text(quoted: str) -> str:
    """Without lone surrogates, which JSON in UTF-8 cannot carry (RFC 8259 §8.2)."""
    return quoted.encode("utf-8", "backslashreplace").decode()


class InvalidRequest(exceptions.APIException):
    """A request that cannot be understood: what stands where, and what is wrong with it."""

    status_code = 422

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("The request is not valid.", "invalid")
        self.errors = errors


def answer_problem(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler. What nobody foresaw is logged with its trace and answered 500 without it."""
    problem = problem_of(error)
    if problem is None:
        request = context["request"]
        log.error("api_request_failed", method=request.method, path=request.path, exc_info=error)
        problem = Problem(500, "internal_error", "Something went wrong here. It has been logged.")
    elif problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("api_dependency_away", code=problem.code, error=type(error).__name__)
    return problem.as_response()


def problem_of(error: Exception) -> Problem | None:
    """What an error is to a client, or None when nobody foresaw it."""
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    return next((describe(error) for kinds, describe in _FORESEEN if isinstance(error, kinds)), None)


def invalid(*errors: FieldError) -> Problem:
    """422 (RFC 9110 §15.5.21): understood, and wrong."""
    fields = ", ".join(error.field for error in errors)
    return Problem(422, "invalid", f"The request is not valid: see {fields}.", errors)


def refused(error: SubmissionInvalid) -> Problem:
    """All that is wrong with a submission, and where in the error queue it is kept to be mended."""
    problem = invalid(*(FieldError(one.field, one.fault, one.reason) for one in error.faults))
    return replace(problem, more=(("kept_as", str(error.kept_as)),)) if error.kept_as else problem


def quota_reached(error: QuotaReached) -> Problem:
    """429 until so many recipients fit into the rolling day again."""
    seconds = max(1, math.ceil((error.frees_at - timezone.now()).total_seconds()))
    at = error.frees_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    detail = (
        f"The limit of this {error.of} is {error.limit:,} recipients a day, and {error.used:,} are used; "
        f"there is room for {error.asked:,} more at {at}."
    )
    quota = {"of": error.of, "limit": error.limit, "used": error.used, "frees_at": at}
    headers = (("Retry-After", str(seconds)),)
    return Problem(429, "quota_reached", detail, headers=headers, more=(("quota", quota),))


def not_found() -> Problem:
    """The one answer to what does not exist and to what the caller may not know of."""
    return Problem(404, "not_found", "There is nothing here, or your key may not see it.")


def unavailable(code: str, what: str) -> Problem:
    """503 with the time after which trying again makes sense."""
    return Problem(
        503,
        code,
        f"{what} does not answer right now. Try again: with the same Idempotency-Key nothing is sent twice.",
        headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),),
    )


def too_large() -> Problem:
    return Problem(413, "too_large", "The request is larger than this server accepts.")


_FORESEEN: tuple[tuple[tuple[type[Exception], ...], Callable[[Any], Problem]], ...] = (
    ((Http404, NotVisible), lambda _error: not_found()),
    ((SubmissionInvalid,), refused),
    ((QuotaReached,), quota_reached),
    ((FieldInvalid,), lambda error: invalid(FieldError(error.field, "invalid", error.reason))),
    ((AdminsOnly,), lambda error: Problem(403, "admins_only", str(error))),
    ((ReadOnly,), lambda error: Problem(409, "read_only", str(error))),
    ((IdempotencyConflict,), lambda error: Problem(409, "idempotency_conflict", str(error))),
    (
        (NotPossibleNow, NotHeld, WebhookNotActive, MoveNotPossible),
        lambda error: Problem(409, "not_possible_now", str(error)),
    ),
    ((DomainClaimed,), lambda error: Problem(409, "domain_claimed", str(error))),
    ((DomainInUse,), lambda error: Problem(409, "domain_in_use", str(error))),
    ((RequestDataTooBig,), lambda _error: too_large()),
    ((UnreadablePostError,), lambda _error: Problem(400, "incomplete", "The request broke off.")),
    ((ObjectStoreUnavailable,), lambda _error: unavailable("object_store_away", "The object store")),
    ((OperationalError, InterfaceError), lambda _error: unavailable("database_away", "The database")),
)


def _of_framework(error: exceptions.APIException) -> Problem:
    if isinstance(error, InvalidRequest):
        return invalid(*error.errors)
    if isinstance(error, exceptions.ValidationError):
        return invalid(*field_errors(error.detail))
    headers = []
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        headers.append(("WWW-Authenticate", str(getattr(error, "auth_header", "Bearer"))))
    if isinstance(error, exceptions.Throttled):
        headers.append(("Retry-After", str(max(1, round(getattr(error, "wait", 1))))))
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    return Problem(error.status_code, code, str(error.detail), headers=tuple(headers))


def field_errors(detail: Any, path: str = "") -> Sequence[FieldError]:
    """DRF's nested error details, flattened to paths. An error of the whole object is told of `body`."""
    if isinstance(detail, Mapping):
        return [error for key, value in detail.items() for error in field_errors(value, _below(path, key))]
    if isinstance(detail, list) and any(not isinstance(one, str) for one in detail):
        return [
            error
            for index, value in enumerate(detail)
            if value
            for error in field_errors(value, f"{path}[{index}]")
        ]
    reasons = detail if isinstance(detail, list) else [detail]
    return [FieldError(path or BODY, getattr(one, "code", None) or "invalid", str(one)) for one in reasons]


def _below(path: str, key: Any) -> str:
    if key == "non_field_errors":
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)
