"""Addresses as strangers have them: quoted, international in either form, as long as may be and not longer."""

import pytest

from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import Delivery, DeliveryState
from tests.outbound.sending import drain, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer


@pytest.mark.parametrize(
    ("written", "recipient", "destination"),
    [
        ('"anna berg"@x.example', '"anna berg"@x.example', "x.example"),
        (r'"a\"b@c"@x.example', r'"a\"b@c"@x.example', "x.example"),
        ("anna@BÜCHER.example", "anna@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("Anna <Anna@X.example>", "Anna@x.example", "x.example"),
        ("jörg@x.example", "jörg@x.example", "x.example"),
        ("a" * 64 + "@x.example", "a" * 64 + "@x.example", "x.example"),
        ("anna@[192.0.2.1]", "anna@[192.0.2.1]", "[192.0.2.1]"),
        ("o'brien+tag!#$%&*@x.example", "o'brien+tag!#$%&*@x.example", "x.example"),
    ],
)
def test_an_address_is_taken_as_its_host_knows_it(
    house: House, written: str, recipient: str, destination: str
) -> None:
    submitted = send(house.as_key, written)
    delivery = only_delivery(submitted)
    assert (delivery.recipient, delivery.destination) == (recipient, destination)
    assert parse(raw_of(submitted.message)).to[0].address == recipient


@pytest.mark.parametrize(
    "written",
    [
        "a" * 65 + "@x.example",
        "ö" * 33 + "@x.example",
        "a@" + "b" * 64 + ".example",
        "a@" + ".".join(["b" * 60] * 5),
        '"unclosed@x.example',
        "two..dots@x.example",
        ".dot@x.example",
        "a b@x.example",
        "a@x_y.example",
        "a@-x.example",
        "a@",
        "a@x.example, b@x.example",
        "a@[300.0.2.1]",
        "\u202eanna@x.example",
    ],
)
def test_what_no_host_could_take_is_refused_by_its_place(house: House, written: str) -> None:
    with pytest.raises(SubmissionInvalid) as refused:
        send(house.as_key, "fine@x.example", written)
    assert refused.value.field == "to[1]"
    assert refused.value.faults[0].fault == "address_invalid"


def test_both_forms_of_a_domain_are_one_recipient(house: House) -> None:
    send(house.as_key, "anna@bücher.example", "ANNA@xn--bcher-kva.example")
    assert Delivery.objects.get().recipient == "anna@xn--bcher-kva.example"


def test_an_address_beyond_ascii_asks_the_server_for_smtputf8(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_key, "jörg@x.example", cc=("anna@x.example",))
    drain()
    assert {one.state for one in submitted.message.deliveries.all()} == {DeliveryState.SENT}
    assert relay.taken_by_recipient["jörg@x.example"] == 1
    mails = [command for command in relay.commands if command.startswith("MAIL")]
    # The header names Jörg in Anna's copy too.
    assert len(mails) == 2
    assert all(command.endswith(" SMTPUTF8") for command in mails)


def test_a_server_without_smtputf8_gets_no_such_mail_and_the_sender_is_told(
    house: House, relay: RemoteServer
) -> None:
    relay.behave(smtputf8=False)
    submitted = send(house.as_key, "jörg@x.example")
    drain()
    delivery = only_delivery(submitted)
    assert delivery.state == DeliveryState.FAILED
    assert "beyond ASCII" in delivery.reason
    assert relay.messages == []
