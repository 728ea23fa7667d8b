from datetime import timedelta

from django.db.models import F
from django.test import Client

from apps.inbound.figures import oldest_waiting_seconds
from apps.inbound.models import ReceivedMessage
from tests.inbound.test_ingest import receive
from tests.people import House


def test_mail_that_waits_shows_in_the_figures(client: Client, house: House) -> None:
    assert oldest_waiting_seconds() == {"": 0.0}
    receive(house)
    ReceivedMessage.objects.update(received_at=F("received_at") - timedelta(minutes=5))
    assert 299 < oldest_waiting_seconds()[""] < 400
    assert 'mail_received_waiting{state="accepted"} 1.0' in client.get("/metrics").content.decode()
