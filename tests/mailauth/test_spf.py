"""SPF by the RFC's own suite, and what the suite leaves out."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.mailauth.spf import check_spf
from tests.mailauth.zone import Zone

SUITE = next(
    (
        found
        for folder in Path(__file__).parents
        if (found := folder / "shared/corpus/mailauth/rfc7208-tests.yml").is_file()
    ),
    None,
)


def cases() -> Iterator[Any]:
    if SUITE is None:
        return
    for scenario in yaml.safe_load_all(SUITE.read_text()):
        for name, test in scenario["tests"].items():
            told = f"{scenario['description']}: {name}"
            yield pytest.param(test, scenario["zonedata"], id=told)


@pytest.mark.skipif(SUITE is None, reason="the corpus is not beside this checkout")
@pytest.mark.parametrize(("test", "zone"), list(cases()))
def test_the_suite_of_rfc_7208(test: dict[str, Any], zone: dict[str, list[Any]]) -> None:
    found = check_spf(str(test["host"]), test["helo"], test["mailfrom"], Zone(zone))
    expected = test["result"] if isinstance(test["result"], list) else [test["result"]]
    assert found.result in expected, (found, test.get("comment"))
    if "explanation" in test and found.result == "fail" and test["explanation"] != "DEFAULT":
        assert found.explanation == " ".join(test["explanation"].split())
    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    "terms",
    [
        "include:x.test " * 400,
        "a:%{l}.%{s}.%{o}.%{d}.%{i}.%{h}.x.test " * 150,
        "exists:" + "%{d9r}." * 900 + "x.test",
        "ip4:192.0.2.1/24 " * 400,
        "a." * 4000,
        "%" * 8000,
        "exp=" + "%{l}" * 1900,
        "x" * 60_000,
    ],
)
def test_a_record_made_to_keep_us_busy_does_not(terms: str) -> None:
    zone = Zone({"x.test": [{"TXT": f"v=spf1 {terms} -all"}]})
    started = time.monotonic()
    found = check_spf("198.51.100.1", "h.test", "a" * 200 + "@x.test", zone)
    assert found.result in ("permerror", "fail")
    assert time.monotonic() - started < 5
    assert len(zone.asked) < 120


def test_a_name_that_nobody_answers_about_is_no_verdict() -> None:
    found = check_spf("192.0.2.1", "h.test", "a@x.test", Zone({"x.test": ["TIMEOUT"]}))
    assert (found.result, "could not be looked up" in found.reason) == ("temperror", True)


def test_a_domain_in_its_own_script_is_asked_about_in_ascii() -> None:
    zone = Zone({"xn--bcher-kva.example": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}]})
    found = check_spf("192.0.2.1", "h.test", "info@bücher.example", zone)
    assert (found.result, found.domain) == ("pass", "xn--bcher-kva.example")


def test_reverse_names_that_do_not_answer_do_not_match_and_do_not_confuse() -> None:
    """RFC 7208 §5.5. Whoever brings the mail owns them, and could make a forgery's failure unclear."""
    zone = Zone({"bank.test": [{"TXT": "v=spf1 ptr -all"}], "1.100.51.198.in-addr.arpa": ["TIMEOUT"]})
    assert check_spf("198.51.100.1", "h.test", "ceo@bank.test", zone).result == "fail"


@pytest.mark.skipif(SUITE is None, reason="the corpus is not beside this checkout")
def test_the_suite_is_there_whole() -> None:
    assert len(list(cases())) > 200
