"""The house keeps its shape: what import-linter cannot see."""

import ast
import tomllib
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import ForeignKey, ManyToManyField, OneToOneField

ROOT = Path(__file__).parents[2]
OURS = "apps."


def layers() -> dict[str, int]:
    """Each room's height, read from the very contract import-linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rooms = [line.replace("(", " ").replace(")", " ").replace("|", " ").split() for line in lines]
    return {room: len(rooms) - height for height, line in enumerate(rooms) for room in line}


def python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, folders
    return found


def test_every_room_stands_in_the_layers() -> None:
    rooms = {path.name for path in (ROOT / "apps").iterdir() if (path / "__init__.py").exists()}
    assert rooms <= set(layers())


def test_model_relations_point_downwards() -> None:
    height = layers()
    upward = []
    for model in apps.get_models():
        room = model.__module__.removeprefix(OURS).partition(".")[0]
        if not model.__module__.startswith(OURS):
            continue
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey | OneToOneField | ManyToManyField):
                target = field.related_model.__module__
                if target.startswith(OURS):
                    other = target.removeprefix(OURS).partition(".")[0]
                    if other != room and height[other] >= height[room]:
                        upward.append(f"{model.__name__}.{field.name} -> {other}")
    assert upward == []


def test_every_row_carries_its_organisation() -> None:
    """Rows that hang on one parent row, which carries it, are named here with that parent."""
    carried_by_parent = {
        "Organisation": "itself",
        "SpooledBytes": "blob",
        "DiscardedObject": "nobody's any more: a name that S3 is to forget",
        "Part": "message",
        "Membership": "mailbox",
        "DeliveryAttempt": "delivery",
        "RefusedFile": "refused",
        "MessageSignature": "message",
        "Cursor": "a platform-wide reader",
        "Relay": "platform-wide",
        "PushKey": "platform-wide",
    }
    without = [
        model.__name__
        for model in apps.get_models(include_auto_created=False)
        if model.__module__.startswith(OURS)
        and model.__name__ not in carried_by_parent
        and "organisation" not in {field.name for field in model._meta.get_fields()}
    ]
    assert without == []


def test_migrations_have_names_that_tell_what_they_do() -> None:
    unnamed = [path.name for path in (ROOT / "apps").glob("*/migrations/0*.py") if "_auto_" in path.name]
    assert unnamed == []


@pytest.mark.parametrize(
    "room",
    [
        "organisations",
        "accounts",
        "blobs",
        "screening",
        "mailboxes",
        "tickets",
        "outbound",
        "automation",
        "reading",
        "writing",
        "webhooks",
        "notifications",
    ],
)
def test_domain_rooms_know_no_requests(room: str) -> None:
    """Edges translate; below them there are principals, not requests."""
    offenders = []
    for path in python_files(f"apps/{room}"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            offenders += [
                f"{path.relative_to(ROOT)}: {name}"
                for name in names
                if name.startswith(("django.http", "django.shortcuts", "rest_framework", "channels.generic"))
            ]
    assert offenders == []


def test_nothing_receives_signals() -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in python_files("apps", "mailplatform")
        if "dispatch.receiver" in path.read_text() or "@receiver" in path.read_text()
    ]
    assert offenders == []


def test_modules_stay_readable() -> None:
    """Past 400 lines there is usually a second noun in a module."""
    long = {
        str(path.relative_to(ROOT)): length
        for path in python_files("apps", "mailplatform", "tests")
        if "/migrations/" not in str(path) and (length := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
