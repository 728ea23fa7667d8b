"""No line end of any kind makes two messages of one: not at our door, not in what we keep, not in what we send on.

A sender hides a whole second transaction behind something that looks like the end of data to one server and like
content to another (CVE-2023-51764, CVE-2024-27305 and their relatives). What we receive, an agent quotes, forwards as
an attachment, or an integrator sends on; each time one message must leave for one that came.
"""

import base64
import re
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import product

import pytest

from apps.inbound.ingest import ingest_due
from apps.inbound.limits import Limits
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.mailboxes.models import Message
from tests.api.client import Api
from tests.inbound.listening import Listening
from tests.inbound.wire import RawClient
from tests.mail import raw_mail
from tests.outbound.sending import drain
from tests.people import House
from tests.remote.server import RemoteServer

ENDS = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\0\n", b"\0\r\n", b"\r\n\0", b"\n\0", b"\0")
DOTS = (b".", b"..", b".\0")
SMUGGLED = (
    b"MAIL FROM:<evil@customer.example>%(end)bRCPT TO:<alice@house.test>%(end)bDATA%(end)b"
    b"From: boss@house.test%(end)bSubject: pay%(end)b%(end)bNow.%(end)b.%(end)bQUIT%(end)b"
)
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


REAL_END = b"\r\n.\r\n"


def probes(dots: tuple[bytes, ...], line_end: bytes) -> list[bytes]:
    """Each of the dots between every two line ends, but for the true end, with a transaction behind it."""
    return [
        b"text" + half_end + SMUGGLED % {b"end": line_end}
        for before, dot, after in product(ENDS, dots, ENDS)
        if REAL_END not in (half_end := before + dot + after)
    ]


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    listening = Listening(Limits(trusted_networks=(ip_network("127.0.0.0/8"),)))
    yield listening.port
    listening.stop()


def mail(number: int, body: bytes) -> bytes:
    return raw_mail(message_id=f"{number}@customer.example", text="") + body


def test_the_door_takes_one_message_for_one(port: int, house: House) -> None:
    """Up to the first CRLF.CRLF all is content; what would follow it are the client's own commands."""
    asked = probes(DOTS, b"\r\n")
    for number, probe in enumerate(asked):
        with RawClient(port) as client:
            client.addresses("support@house.test")
            assert client.asks(b"DATA").startswith("354")
            client.says(mail(number, probe.partition(REAL_END)[0]) + REAL_END)
            assert client.hears().startswith("250 2.0.0"), probe
            assert client.asks(b"NOOP") == "250 2.0.0 OK", probe  # nothing of it was taken for a command
    rows = ReceivedMessage.objects.all()
    assert len(rows) == len(asked) > 200
    assert {tuple(row.recipients) for row in rows} == {("support@house.test",)}


def test_what_came_in_goes_on_as_one_message(port: int, house: House, relay: RemoteServer) -> None:
    api = Api.of(house.secret)
    chosen = probes((b".",), b"\n")
    for number, probe in enumerate(chosen):
        with RawClient(port) as client:
            assert client.sends(mail(number, probe + b"\r\n"), "support@house.test").startswith("250")
    while ingest_due(limit=100, seconds=60):
        pass
    assert set(ReceivedMessage.objects.values_list("state", flat=True)) == {ReceivedState.FILED}
    sent = 0
    for message in Message.objects.all():
        raw = api.get(f"/messages/{message.pk}/raw").content
        text = api.get(f"/messages/{message.pk}").json()["text"]
        forwarded = {
            "filename": "mail.eml",
            "content_type": "message/rfc822",
            "content": base64.b64encode(raw).decode(),
        }
        for body in (
            {"text": text},  # quoted
            {"text": "See below.", "attachments": [forwarded]},
        ):
            whole = {"from": "support@house.test", "to": ["partner@x.example"], "subject": "Fwd", **body}
            answer = api.post("/messages", whole)
            assert answer.status_code == 202, answer.content
            sent += 1
    drain()
    assert sent == 2 * len(chosen)
    assert len(relay.messages) == sent
    assert {message.recipients for message in relay.messages} == {("partner@x.example",)}
    # Nor was anything begun in another's name. A line that was slow is tried again, so there may be more than `sent`.
    assert not [command for command in relay.commands_of("MAIL") if "<bounce+" not in command]
    assert not [taken for taken in relay.messages if BARE.search(taken.content)]
