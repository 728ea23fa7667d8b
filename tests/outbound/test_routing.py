"""Which relays may take a mail and who comes first, by table."""

import uuid
from collections import Counter
from typing import Any

import pytest

from apps.organisations.models import new_id
from apps.outbound.errors import NoRelayServes
from apps.outbound.models import Relay
from apps.outbound.relays.routing import Mail, candidates

OURS, THEIRS = new_id(), new_id()


def relay(name: str, **columns: Any) -> Relay:
    return Relay(**{"name": name, "organisation_id": OURS, "host": f"{name}.test", **columns})


def mail(**facts: Any) -> Mail:
    usual = {
        "delivery_id": new_id(),
        "organisation_id": OURS,
        "sender_domain": "house.test",
        "recipient_domain": "x.example",
        "lane": "interactive",
    }
    return Mail(**{**usual, **facts})


def names(asked: Mail, *relays: Relay) -> list[str]:
    return [one.name for one in candidates(asked, relays)]


def test_lower_priorities_come_first_and_the_environments_last() -> None:
    shared = relay("shared", organisation_id=None, from_environment=True, priority=100)
    assert names(mail(), shared, relay("b", priority=20), relay("a", priority=5)) == ["a", "b", "shared"]


@pytest.mark.parametrize(
    ("columns", "facts", "serves"),
    [
        ({"sender_domains": ["house.test"]}, {}, True),
        ({"sender_domains": ["other.test"]}, {}, False),
        ({"sender_domains": ["*.test"]}, {}, True),
        ({"sender_domains": ["*.house.test"]}, {}, False),
        ({"sender_domains": ["*.house.test"]}, {"sender_domain": "a.b.house.test"}, True),
        ({"recipient_domains": ["x.example", "y.example"]}, {}, True),
        ({"recipient_domains": ["*.example"]}, {}, True),
        ({"recipient_domains": ["example"]}, {}, False),
        ({"lanes": ["bulk"]}, {}, False),
        ({"lanes": ["bulk"]}, {"lane": "bulk"}, True),
        ({"lanes": ["bulk", "interactive"], "sender_domains": ["other.test"]}, {}, False),
        ({"is_active": False}, {}, False),
        ({"organisation_id": THEIRS}, {}, False),
        ({"organisation_id": None, "from_environment": True}, {}, True),
    ],
)
def test_a_relay_takes_what_it_is_for(
    columns: dict[str, Any], facts: dict[str, Any], *, serves: bool
) -> None:
    if serves:
        assert names(mail(**facts), relay("a", **columns)) == ["a"]
    else:
        with pytest.raises(NoRelayServes):
            candidates(mail(**facts), [relay("a", **columns)])


@pytest.mark.parametrize(
    ("relays", "why"),
    [
        ([], "no relay is set up"),
        ([relay("a", organisation_id=THEIRS)], "no relay is set up"),
        ([relay("a", is_active=False)], "all relays are paused"),
        (
            [relay("a", lanes=["bulk"])],
            "no relay in use is for interactive mail from house.test to x.example",
        ),
    ],
)
def test_where_none_serves_it_says_why(relays: list[Relay], why: str) -> None:
    with pytest.raises(NoRelayServes) as none:
        candidates(mail(), relays)
    assert none.value.public == why


def test_a_pinned_mail_has_one_relay_even_where_another_is_meant_for_it() -> None:
    pinned = relay("pinned", priority=900, lanes=["bulk"])
    assert names(mail(pinned_relay_id=pinned.pk), relay("usual"), pinned) == ["pinned"]


@pytest.mark.parametrize("columns", [{"is_active": False}, {"organisation_id": THEIRS}])
def test_a_pinned_mail_goes_no_other_way_when_its_relay_is_gone(columns: dict[str, Any]) -> None:
    pinned = relay("pinned", **columns)
    with pytest.raises(NoRelayServes, match="bound to"):
        candidates(mail(pinned_relay_id=pinned.pk), [relay("usual"), pinned])


def test_weight_is_the_share_among_equals_and_the_same_for_the_same_delivery() -> None:
    relays = [relay("heavy", weight=3), relay("light", weight=1), relay("spare", priority=11, weight=1000)]
    firsts: Counter[str] = Counter()
    for n in range(4000):
        asked = mail(delivery_id=uuid.UUID(int=n))
        order = names(asked, *relays)
        assert order == names(asked, *reversed(relays))
        assert order[2] == "spare"
        firsts[order[0]] += 1
    assert 2850 < firsts["heavy"] < 3150
