import json
import stat
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.selectors import principal_of_secret
from apps.mailboxes.models import Mailbox
from apps.organisations.models import Organisation

pytestmark = pytest.mark.django_db


def make_demo(folder: Path) -> dict[str, object]:
    with override_settings(DATA_DIR=folder):
        call_command("create_demo")
    content: dict[str, object] = json.loads((folder / "demo.json").read_text())
    return content


def test_demo_json_is_what_the_contract_says(tmp_path: Path) -> None:
    demo = make_demo(tmp_path)
    assert {
        "web", "smtp", "submission", "sink", "domain", "api_key", "users", "mailboxes", "outsider"
    } == set(demo)  # fmt: skip
    assert str(demo["submission"]).startswith("127.0.0.1:")
    assert demo["domain"] == "demo.test"
    roles = [user["role"] for user in demo["users"]]  # type: ignore[attr-defined]
    assert roles.count("agent") >= 2
    assert roles.count("admin") == 1
    kinds = {box["address"]: box["kind"] for box in demo["mailboxes"]}  # type: ignore[attr-defined]
    assert kinds["support@demo.test"] == "shared"
    assert Mailbox.objects.filter(pk__in=[box["id"] for box in demo["mailboxes"]]).count() == len(kinds)  # type: ignore[attr-defined]


def test_the_secrets_work_and_are_for_their_owner_only(tmp_path: Path) -> None:
    demo = make_demo(tmp_path)
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600
    for user in demo["users"]:  # type: ignore[attr-defined]
        assert User.objects.get(email=user["email"]).check_password(user["password"])
    principal = principal_of_secret(str(demo["api_key"]), timezone.now())
    assert principal is not None
    assert principal.sees_everything
    outsider = principal_of_secret(demo["outsider"]["api_key"], timezone.now())  # type: ignore[index]
    assert outsider is not None
    assert outsider.organisation_id != principal.organisation_id


def test_passwords_are_new_each_time(tmp_path: Path) -> None:
    first = make_demo(tmp_path)
    User.objects.all().delete()
    Mailbox.objects.all().delete()

    Organisation.objects.all().delete()
    second = make_demo(tmp_path)
    assert first["api_key"] != second["api_key"]
    assert not {user["password"] for user in first["users"]} & {user["password"] for user in second["users"]}  # type: ignore[attr-defined]


def test_an_organisation_that_is_there_is_left_alone(tmp_path: Path) -> None:
    before = make_demo(tmp_path)
    after = make_demo(tmp_path)
    assert before == after
    assert User.objects.count() == 4
