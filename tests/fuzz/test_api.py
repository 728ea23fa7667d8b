"""The REST API, asked at random what its own document offers: every answer is a promised one, and none is 5xx."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.client import Api, document
from tests.flows.test_outsider import Belongings, belongings
from tests.flows.url_map import Address
from tests.fuzz.from_schema import anything, values
from tests.people import House

__all__ = ["belongings"]

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

EXAMPLES = 60


def operations() -> list[tuple[str, str]]:
    """Every method and path template of the document."""
    return [
        (method.upper(), path)
        for path, found in document()["paths"].items()
        for method in found
        if method in {"get", "post", "patch", "put", "delete"}
    ]


def requests(method: str, path: str, ids: dict[str, Any]) -> st.SearchStrategy[tuple[str, Any]]:
    """A filled-in path with a query, and a body or None."""
    operation = document()["paths"][path][method.lower()]
    query: dict[str, Any] = {}
    places: dict[str, Any] = {}
    for parameter in operation.get("parameters", []):
        asked = values(parameter["schema"], document())
        if parameter["in"] == "path":
            # Mostly what exists: behind a 404 there is little to find.
            real = ids.get(parameter["name"])
            places[parameter["name"]] = st.one_of(st.just(real), st.just(real), asked) if real else asked
        elif parameter["in"] == "query":
            query[parameter["name"]] = asked
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    bodies = values(content["schema"], document()) if content else st.just(None)
    return st.builds(
        lambda filled, asked, body: (_address(path, filled, asked), body),
        st.fixed_dictionaries(places),
        st.fixed_dictionaries({}, optional=query),
        st.one_of(bodies, bodies, anything) if content else bodies,
    )


def _address(path: str, places: dict[str, Any], query: dict[str, Any]) -> str:
    for name, value in places.items():
        path = path.replace(f"{{{name}}}", quote(_text(value), safe="") or "x")
    asked = urlencode({name: _text(value) for name, value in query.items()}, errors="replace")
    return f"{path}?{asked}" if asked else path


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_every_answer_is_one_that_the_document_promises(
    method: str, belongings: Belongings, house: House
) -> None:
    paths = [path for known, path in operations() if known == method]
    assert paths
    for path in paths:
        fuzz(method, path, belongings, house)


def fuzz(method: str, path: str, belongings: Belongings, house: House) -> None:
    address = Address(path, "")
    known = belongings.values(house.admin)
    ids = {name: fill(address) for name, fill in known.items() if name != "token"}
    api = Api.of(house.secret)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(requests(method, path, ids))
    def ask(request: tuple[str, Any]) -> None:
        answer = api.call(method, request[0], request[1])
        assert answer.status_code < 500, answer.content

    ask()
