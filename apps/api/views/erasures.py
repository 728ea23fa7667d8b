"""Erasing a customer's data on request, and the lines that stay about it. For admins' keys."""

import uuid

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import documents, page_of
from apps.api.serializers.erasures import ErasureSerializer, NewErasureSerializer
from apps.api.serializers.queries import PageQuery
from apps.api.views.base import ApiView
from apps.erasure.services import erasure_for, erasures_for, request_erasure


class ErasuresView(ApiView):
    """Done in the background, a piece at a time; ask for its line until it says `done`."""

    @documents(
        "list_erasures",
        "Who was erased: when, by whom, how much",
        answers={200: page_of(ErasureSerializer)},
        query=PageQuery,
        problems=(403,),
    )
    def get(self, request: Request) -> Response:
        query = self.read_query(PageQuery)
        return self.page(erasures_for(self.principal), query, by="requested_at", kind=ErasureSerializer)

    @documents(
        "erase_customer",
        "Erase a customer's data",
        answers={202: ErasureSerializer},
        request=NewErasureSerializer,
        problems=(400, 403),
    )
    def post(self, request: Request) -> Response:
        body = self.read_body(NewErasureSerializer)
        erasure = request_erasure(
            self.principal, body["address"], confirmation=body["confirmation"], now=timezone.now()
        )
        return Response(ErasureSerializer(erasure).data, status=202)


class ErasureView(ApiView):
    @documents(
        "get_erasure",
        "How far an erasure has come",
        answers={200: ErasureSerializer},
        problems=(403, 404),
    )
    def get(self, request: Request, erasure_id: uuid.UUID) -> Response:
        return Response(ErasureSerializer(erasure_for(self.principal, erasure_id)).data)
