"""What programs of strangers ask a web server for, without signing in."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from apps.outbound.domains.tending import policy_for


@require_safe
@cache_control(public=True, max_age=300)
def mta_sts(request: HttpRequest) -> HttpResponse:
    """RFC 8461 §3.3: the policy of the domain whose `mta-sts.` name was asked, as text/plain; 404 for any other name.

    The name must lead here, with a certificate of its own, and be among ALLOWED_HOSTS.
    """
    policy = policy_for(request.get_host().partition(":")[0])
    if not policy:
        raise Http404
    return HttpResponse(policy, content_type="text/plain")
