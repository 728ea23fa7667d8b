"""MTA-STS policies: how records and policies read, and how long which one holds."""

import pytest

from apps.outbound.relays.mta_sts import Mode, Policies, PolicyInvalid, read_policy, read_record
from apps.outbound.relays.resolver import Resolver
from tests.remote.names import NameServer

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx.x.example\r\nmx: *.mail.example\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("texts", "record_id"),
    [
        (["v=STSv1; id=20260302T0900;"], "20260302T0900"),
        (["other", "v=STSv1;id=1"], "1"),
        (["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
        (["v=STSv2; id=1;"], None),
        (["v=STSv1; id=not an id;"], None),
        ([], None),
    ],
)
def test_a_record_has_one_id(texts: list[str], record_id: str | None) -> None:
    assert read_record(texts) == record_id


def test_a_policy_names_servers_and_stars_stand_for_one_label() -> None:
    policy = read_policy(POLICY)
    assert (policy.mode, policy.max_age_seconds) == (Mode.ENFORCE, 604800)
    assert [policy.covers(host) for host in ("MX.x.example.", "a.mail.example")] == [True, True]
    assert [policy.covers(host) for host in ("a.b.mail.example", "mail.example", "x.example")] == [False] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not found</html>",
        POLICY.replace("STSv1", "STSv9"),
        POLICY.replace("enforce", "perhaps"),
        POLICY.replace("604800", "soon"),
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        read_policy(text)


async def test_a_known_policy_holds_while_its_record_is_hidden_or_it_cannot_be_fetched_anew() -> None:
    fetched: list[str] = []
    now = [1_000_000.0]

    async def fetch(domain: str) -> str:
        fetched.append(domain)
        if len(fetched) > 1:
            raise PolicyInvalid("gone")
        return POLICY

    with NameServer() as names:
        names.say("_mta-sts.x.example", "TXT", '"v=STSv1; id=1;"', ttl=0)
        policies = Policies(Resolver(["127.0.0.1"], port=names.port), fetch, clock=lambda: now[0])
        for _ in range(3):
            assert await policies.of("x.example") == read_policy(POLICY)
        assert fetched == ["x.example"]
        names.forget("_mta-sts.x.example")
        assert await policies.of("x.example") is not None
        names.say("_mta-sts.x.example", "TXT", '"v=STSv1; id=2;"', ttl=0)
        assert await policies.of("x.example") is not None
        now[0] += 604_801
        assert await policies.of("x.example") is None
        assert await policies.of("[192.0.2.1]") is None
