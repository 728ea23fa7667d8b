import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.test import Client

from apps.inbound.figures import oldest_waiting_seconds, refused_by_reply
from apps.inbound.limits import Limits
from apps.inbound.models import ReceivedMessage
from apps.inbound.rates import connect
from apps.inbound.tally import Tally, key_of
from apps.monitoring import heartbeat
from tests.inbound.listening import Listening
from tests.inbound.test_ingest import receive
from tests.inbound.wire import RawClient
from tests.people import House


def test_mail_that_waits_shows_in_the_figures(client: Client, house: House) -> None:
    assert oldest_waiting_seconds() == {"": 0.0}
    receive(house)
    ReceivedMessage.objects.update(received_at=F("received_at") - timedelta(minutes=5))
    assert 299 < oldest_waiting_seconds()[""] < 400
    assert 'mail_received_waiting{state="accepted"} 1.0' in client.get("/metrics").content.decode()


@pytest.mark.django_db(transaction=True)
def test_what_a_listener_refuses_shows_by_its_reply(client: Client, house: House) -> None:
    heartbeat.connect().delete(key_of("smtp"))
    tally = Tally(connect(settings.REDIS_URL))
    server = Listening(Limits(max_connections_per_address=1), tally=tally)
    with RawClient(server.port) as smtp:
        smtp.addresses("nobody@house.test", "nor-this@house.test")
        with RawClient(server.port, greet=False) as second:
            assert second.greeting.startswith("421 4.7.0")
    server.stop()
    asyncio.run(tally.close())
    told = client.get("/metrics").content.decode()
    assert 'mail_refused{reply="550 5.1.1"} 2.0' in told
    assert 'mail_refused{reply="421 4.7.0"} 1.0' in told


def test_the_other_figures_are_told_while_redis_is_away(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert refused_by_reply("smtp") == {}
    tally = Tally(connect(settings.REDIS_URL))
    tally.count("smtp", "450 4.7.1 Too many")
    asyncio.run(tally.close())
    assert tally._counted == {("smtp", "450 4.7.1"): 1}
