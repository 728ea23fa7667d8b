"""Settings from outside: what is unset, what is derived, and what each bad value is told."""

from pathlib import Path

import pytest

from mailplatform.embedded.access import EmbeddedAccess
from mailplatform.environment import Environment, EnvironmentInvalid, load_environment


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("MAILPLATFORM_DATA_DIR", str(tmp_path))


def test_the_defaults_are_the_contract() -> None:
    environment = load_environment()
    ports = (environment.web_port, environment.smtp_port, environment.submission_port, environment.sink_port)
    assert ports == (8000, 2525, 2587, 2526)
    assert environment.web_origin == "http://127.0.0.1:8000"
    assert environment.content_origin == "http://localhost:8000"
    assert environment.relay_urls == ("smtp://127.0.0.1:2526",)
    assert [str(network) for network in environment.smtp_trusted_networks] == ["127.0.0.0/8", "::1/128"]
    assert not environment.debug


def test_before_the_first_start_the_servers_are_nowhere() -> None:
    environment = load_environment()
    for url in (environment.database_url, environment.redis_url, environment.s3_endpoint_url):
        assert "127.0.0.1:9" in url


def test_what_is_unset_comes_from_the_embedded_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = EmbeddedAccess()
    access.postgres.port, access.valkey.port, access.s3.port = 1001, 1002, 1003
    access.write(tmp_path)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/3")
    environment = load_environment()
    assert environment.database_url == access.postgres.url
    assert environment.redis_url == environment.broker_url == "redis://elsewhere:6379/3"
    assert environment.s3_endpoint_url == "http://127.0.0.1:1003"
    assert environment.s3_secret_key == access.s3.secret_key


def test_the_secret_key_is_made_once_and_kept_for_its_owner(tmp_path: Path) -> None:
    first = load_environment().secret_key
    assert len(first) >= 50
    assert load_environment().secret_key == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PORT", "")
    assert load_environment().web_port == 8000


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("WEB_PORT", "80000", "WEB_PORT: must be less than or equal to 65535"),
        ("SMTP_PORT", "8000", "SMTP_PORT: 8000 is already WEB_PORT; each needs a port of its own"),
        ("S3_ENDPOINT_URL", "s3://u:hush@host", "S3_ENDPOINT_URL: must start with http:// or https:// and name a host"),
        ("DATABASE_URL", "postgres://u:hush@db:99999/x", "DATABASE_URL: is not a URL with a host and, perhaps, a port"),
        ("REDIS_URL", "redis://:hush@", "REDIS_URL: must start with redis:// or rediss:// and name a host"),
        ("RELAY_URL", "smtp://a, http://u:hush@b", "RELAY_URL: must start with smtp:// or smtps:// and name a host"),
        ("S3_ENDPOINT_URL", "https://s3.test", "S3_ACCESS_KEY: must be set when S3_ENDPOINT_URL is"),
        ("SMTP_TRUSTED_NETWORKS", "10.0.0.1/8", "SMTP_TRUSTED_NETWORKS: 10.0.0.1/8 has host bits set"),
        ("WEB_ORIGIN", "https://mail.test/in", "WEB_ORIGIN: must be scheme, host and port alone, as in https://mail.test"),
        (
            "WEB_ORIGIN",
            "http://localhost:8000",
            "CONTENT_ORIGIN: http://localhost:8000 is WEB_ORIGIN too; mail needs an origin of its own",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("WORKER_THREADS", "0", "WORKER_THREADS: must be greater than or equal to 1"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, line: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(EnvironmentInvalid) as raised:
        load_environment()
    assert str(raised.value) == line
    assert "hush" not in str(raised.value)


def test_a_table_of_providers_limits_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "limits.toml"
    monkeypatch.setenv("PROVIDER_LIMITS_FILE", str(table))
    with pytest.raises(EnvironmentInvalid, match="PROVIDER_LIMITS_FILE: cannot be read: No such file"):
        load_environment()
    table.write_text("[[limit]]\nprovider = 'x'")
    with pytest.raises(EnvironmentInvalid, match="PROVIDER_LIMITS_FILE: entry 1: kind is missing"):
        load_environment()
    table.write_text("limit = []")
    assert load_environment().provider_limits_file == table


def test_a_damaged_embedded_json_is_named_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "embedded.json").write_text('{"postgres": {"password": "hush"')
    with pytest.raises(EnvironmentInvalid, match=r"embedded\.json is damaged") as raised:
        load_environment()
    assert raised.value.__cause__ is None
    assert "hush" not in str(raised.value)


def test_no_secret_is_in_the_environments_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:hush@db/x")
    monkeypatch.setenv("RELAY_URL", "smtp://u:hush@relay")
    environment = load_environment()
    assert "hush" not in repr(environment)
    assert environment.secret_key not in repr(environment)


def test_env_example_names_every_variable_and_no_other() -> None:
    from mailplatform.environment import PROJECT_ROOT

    lines = (PROJECT_ROOT / ".env.example").read_text().splitlines()
    named = {line.lstrip("#").split("=")[0].strip() for line in lines if "=" in line.split(" ")[0]}
    expected = {name.upper() for name in Environment.model_fields} - {"DATA_DIR"} | {"MAILPLATFORM_DATA_DIR"}
    assert named == expected
