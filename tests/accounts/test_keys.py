from datetime import UTC, datetime, timedelta

from apps.accounts.models import ApiKey, Role, User
from apps.accounts.principal import Principal
from apps.accounts.selectors import principal_of_secret
from apps.accounts.services import create_api_key
from tests.people import PASSWORD, House

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_secret_finds_its_key_and_is_kept_nowhere(house: House) -> None:
    key, secret = create_api_key(house.organisation, name="n", role=Role.AGENT)
    found = principal_of_secret(secret, NOW)
    assert found is not None
    assert found.api_key == key
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert secret not in str(row)
    assert secret[len(row["hint"]) :] not in str(row)


def test_wrong_revoked_and_orphaned_secrets_find_nobody(house: House) -> None:
    assert principal_of_secret("mp_wrong", NOW) is None
    assert principal_of_secret("", NOW) is None
    assert principal_of_secret("\udcff", NOW) is None
    key, secret = create_api_key(house.organisation, name="n", role=Role.AGENT, user=house.alice)
    User.objects.filter(pk=house.alice.pk).update(is_active=False)
    assert principal_of_secret(secret, NOW) is None
    User.objects.filter(pk=house.alice.pk).update(is_active=True)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=NOW)
    assert principal_of_secret(secret, NOW) is None


def test_last_use_is_kept_to_the_minute(house: House) -> None:
    for moment in (NOW, NOW + timedelta(seconds=30), NOW + timedelta(seconds=61)):
        principal_of_secret(house.secret, moment)
        house.key.refresh_from_db()
        expected = moment if moment != NOW + timedelta(seconds=30) else NOW
        assert house.key.last_used_at == expected


def test_a_persons_key_is_the_person_and_an_admin_key_everybody(house: House) -> None:
    key, _secret = create_api_key(house.organisation, name="n", role=Role.ADMIN, user=house.alice)
    assert not Principal.of_key(key).sees_everything
    assert house.as_key.sees_everything
    assert not Principal.of_user(house.admin).sees_everything
    assert house.as_alice.actor == f"user:{house.alice.pk}"
    assert house.as_key.actor == f"key:{house.key.pk}"


def test_passwords_are_hashed_with_argon2(house: House) -> None:
    assert house.alice.password.startswith("argon2")
    assert house.alice.check_password(PASSWORD)
    assert not house.alice.check_password("another")
