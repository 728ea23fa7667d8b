"""For machines that look after machines: alive, ready, and the figures."""

from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from apps.monitoring.figures import exposition
from apps.monitoring.readiness import readiness


@require_safe
@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 only when every process and server answers; otherwise 503, naming what does not."""
    checks = readiness()
    all_well = all(check.ok for check in checks)
    answer = {
        "status": "ready" if all_well else "not ready",
        "checks": {check.name: check.detail or "ok" for check in checks},
    }
    return JsonResponse(answer, status=200 if all_well else 503)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures, for who has the token; without a token set, for this machine only. 404 to everybody else."""
    if not _may_scrape(request):
        raise Http404
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def _may_scrape(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}")
    # A reverse proxy on this machine would make everybody look local: what it forwards names another client.
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return not forwarded and ip_address(request.META["REMOTE_ADDR"]).is_loopback
