"""App passwords: made, listed, revoked."""

import uuid

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents, page_of
from apps.api.serializers.app_passwords import (
    AppPasswordSerializer,
    CreatedAppPasswordSerializer,
    NewAppPasswordSerializer,
)
from apps.api.serializers.queries import PageQuery
from apps.api.views.base import ApiView
from apps.mailboxes.app_passwords import (
    app_password_for,
    app_passwords_for,
    create_app_password,
    revoke_app_password,
)
from apps.mailboxes.selectors import mailbox_for


class AppPasswordsView(ApiView):
    """What mail programs and devices say at the submission port. A person's key makes that person's own; a key of the
    organisation makes the mailbox's."""

    @documents(
        "list_app_passwords",
        "App passwords in force, newest first: your own; to admins all",
        answers={200: page_of(AppPasswordSerializer)},
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(
            app_passwords_for(self.principal), query, by="created_at", kind=AppPasswordSerializer
        )

    @documents(
        "create_app_password",
        "Let a mail program or device send from a mailbox",
        answers={201: CreatedAppPasswordSerializer},
        request=NewAppPasswordSerializer,
        problems=(400, 404),
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(NewAppPasswordSerializer)
        mailbox = mailbox_for(self.principal, body["mailbox"])
        password, words = create_app_password(self.principal, mailbox, name=body["name"], now=timezone.now())
        return Response(AppPasswordSerializer(password).data | {"password": words}, status=201)


class AppPasswordView(ApiView):
    """One app password. Its words cannot be read again; make a new one where they were lost."""

    @documents("get_app_password", "An app password", answers={200: AppPasswordSerializer}, problems=(404,))
    def get(self, request: Request, app_password_id: uuid.UUID) -> Response:
        return Response(AppPasswordSerializer(app_password_for(self.principal, app_password_id)).data)

    @documents(
        "revoke_app_password",
        "Take an app password back, at once and for good",
        answers={204: None},
        problems=(404,),
    )
    def delete(self, request: Request, app_password_id: uuid.UUID) -> Response:
        password = app_password_for(self.principal, app_password_id)
        revoke_app_password(self.principal, password, timezone.now())
        return Response(status=204)
