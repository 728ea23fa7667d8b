"""Where each edge answers. Bodies and attachments have an origin of their own: apps/webmail/content_urls.py."""

from django.urls import include, path

urlpatterns = [
    path("", include("apps.monitoring.urls")),
    path("api/", include("apps.api.urls")),
    path("", include("apps.webmail.urls")),
]

handler400 = "apps.webmail.views.troubles.bad_request"
handler403 = "apps.webmail.views.troubles.forbidden"
handler404 = "apps.webmail.views.troubles.not_found"
handler500 = "apps.webmail.views.troubles.failed"
