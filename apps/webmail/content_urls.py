"""The content origin's URLs: bodies, forwarded messages, pictures, files and originals. See content_host.py."""

from django.urls import path

from apps.webmail.content_tokens import ContentKind
from apps.webmail.views import content, files, printing

urlpatterns = [
    path("", content.go_to_pages, name="pages"),
    path("content/body/<str:token>/", content.body, name=ContentKind.BODY),
    path("content/enclosed/<str:token>/", content.enclosed, name=ContentKind.ENCLOSED),
    path("content/inline/<str:token>/", files.inline, name=ContentKind.INLINE),
    path("content/attachment/<str:token>/", files.attachment, name=ContentKind.ATTACHMENT),
    path("content/thumbnail/<str:token>/", files.thumbnail, name=ContentKind.THUMBNAIL),
    path("content/archive/<str:token>/", files.archive, name=ContentKind.ARCHIVE),
    path("content/page/<str:token>/", files.page, name=ContentKind.PAGE),
    path("content/print/<str:token>/", printing.printed, name=ContentKind.PRINT),
    path("content/remote/<str:token>/", content.remote, name=ContentKind.REMOTE),
    path("content/original/<str:token>/", content.original, name=ContentKind.ORIGINAL),
]

handler400 = "apps.webmail.views.troubles.bad_request"
handler404 = "apps.webmail.views.troubles.not_found"
handler500 = "apps.webmail.views.troubles.failed"
