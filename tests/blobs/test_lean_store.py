"""Many objects at once over a few lines, with a signature of our own making."""

import socket
import time
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings

from apps.blobs import lean_store
from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.blobs.lean_store import LeanStore
from apps.blobs.object_store import REGION, ObjectStore, object_store
from tests.servers import Servers


@pytest.fixture
def stored() -> Iterator[dict[str, bytes]]:
    """Objects of all sizes, an empty one and one with an odd name among them."""
    object_store().ensure_bucket()
    names = [f"lean/{uuid.uuid4()}" for _ in range(40)] + ["lean/with space+plus=ü"]
    contents = {name: b"x\r\n" * (n * 997) for n, name in enumerate(names)}
    for name, content in contents.items():
        object_store().put(name, content)
    yield contents
    for name in contents:
        object_store().delete(name)


def lean(**changes: str) -> LeanStore:
    access = {name: str(value) for name, value in settings.OBJECT_STORE.items()} | changes
    return LeanStore(region=REGION, connections=4, **access)


def test_many_objects_come_over_a_few_lines_and_the_lines_are_kept(stored: dict[str, bytes]) -> None:
    reader = lean()
    assert dict(reader.get_many(list(stored))) == stored
    assert len(reader._idle) == 4
    assert dict(reader.get_many(list(stored))) == stored


def test_many_objects_are_stored_over_a_few_lines(stored: dict[str, bytes]) -> None:
    for name in stored:
        object_store().delete(name)
    writer = lean()
    assert set(writer.put_many(stored)) == set(stored)
    assert len(writer._idle) == 4
    assert {name: object_store().get(name) for name in stored} == stored


def test_a_wrong_key_stores_nothing(stored: dict[str, bytes]) -> None:
    assert list(lean(secret_key="wrong").put_many({"lean/forged": b"x"})) == []
    with pytest.raises(BlobMissing):
        object_store().get("lean/forged")


def test_what_the_lean_way_does_not_store_boto3_does(stored: dict[str, bytes]) -> None:
    store = ObjectStore(**settings.OBJECT_STORE)
    store._lean = lean(secret_key="wrong")
    again = {name: content + b"again" for name, content in list(stored.items())[:3]}
    assert store.put_many(again) == set(again)
    assert store.get_many(list(again)) == again


def test_a_store_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_store, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        hanging = lean(endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun_at = time.monotonic()
        assert list(hanging.put_many(dict.fromkeys("abcd", b"content"))) == []
        assert time.monotonic() - begun_at < 4 * 0.3


def test_a_store_to_which_no_line_opens_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def hang(_self: LeanStore, _seconds: float) -> None:
        tries.append(1)
        raise TimeoutError

    monkeypatch.setattr(LeanStore, "_open", hang)
    assert dict(lean().get_many([f"lean/{n}" for n in range(40)])) == {}
    assert len(tries) == 1


def test_what_is_missing_is_not_told_and_spoils_nothing(stored: dict[str, bytes]) -> None:
    some = list(stored)[:6]
    found = dict(lean().get_many([*some[:3], "lean/nothing here", *some[3:]]))
    assert found == {name: stored[name] for name in some}


def test_a_wrong_key_gets_nothing(stored: dict[str, bytes]) -> None:
    assert dict(lean(secret_key="wrong").get_many(list(stored)[:3])) == {}


def test_the_store_names_what_is_missing(stored: dict[str, bytes]) -> None:
    with pytest.raises(BlobMissing):
        object_store().get_many([*stored, "lean/nothing here"])


def test_without_an_endpoint_of_its_own_boto3_reads(stored: dict[str, bytes]) -> None:
    store = ObjectStore(**settings.OBJECT_STORE)
    store._lean = None
    some = list(stored)[:3]
    assert store.get_many(some) == {name: stored[name] for name in some}


def test_lines_that_the_server_has_closed_are_no_harm(stored: dict[str, bytes], servers: Servers) -> None:
    store = ObjectStore(**settings.OBJECT_STORE)
    some = list(stored)[:3]
    store.get_many(some)
    servers.s3.stop()
    with pytest.raises(ObjectStoreUnavailable):
        store.get_many(some)
    servers.s3.restart()
    assert store.get_many(some) == {name: stored[name] for name in some}
