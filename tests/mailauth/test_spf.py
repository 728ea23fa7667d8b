"""SPF by the RFC's own suite, and what the suite leaves out."""

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


@pytest.mark.skipif(SUITE is None, reason="the corpus is not beside this checkout")
def test_the_suite_is_there_whole() -> None:
    assert len(list(cases())) > 200
