"""The OpenAPI document, the page to browse it, and the answer to addresses that lead nowhere."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView

from apps.api.problems import MEDIA_TYPE, not_found


class SchemaView(SpectacularAPIView):
    """OpenAPI 3.1, in JSON; `?format=yaml` for people."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = [OpenApiJsonRenderer, OpenApiYamlRenderer]
    serve_public = True


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Swagger UI over the document."""
    return render(request, "api/docs.html")


@csrf_exempt
def nowhere(request: HttpRequest) -> HttpResponse:
    """Whatever else is asked for under /api/: the same 404 with and without a key, by any method."""
    problem = not_found()
    return JsonResponse(problem.as_dict(), status=problem.status, content_type=MEDIA_TYPE)
