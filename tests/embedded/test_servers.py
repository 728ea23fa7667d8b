"""The embedded servers as the tests themselves run them: where they listen, as whom, and whom they let in."""

import os
import stat
from pathlib import Path

import psycopg
import pytest
import redis
from botocore.exceptions import ClientError

from mailplatform.embedded.access import S3Access
from mailplatform.embedded.log import Log
from mailplatform.embedded.orphans import find_working_in
from tests.embedded.objects import s3_client
from tests.polling import wait_until
from tests.servers import DATA_DIR, Servers

_LISTENING = "0A"
_LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net/tcp writes it


def test_every_listener_is_on_loopback(servers: Servers) -> None:
    for server in (servers.postgres, servers.valkey, servers.s3):
        addresses = _listening_addresses(server.pid)
        assert addresses, f"{server.title} listens nowhere"
        assert addresses <= {_LOOPBACK}


def test_postgres_has_what_the_product_builds_on(servers: Servers) -> None:
    with psycopg.connect(servers.access.postgres.url, autocommit=True) as connection:
        assert connection.info.server_version >= 180000
        for extension in ("pg_trgm", "unaccent", "citext", "btree_gin"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        provider = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'mail'"
        assert connection.execute(provider).fetchone() == ("b", "C.UTF-8")


def test_the_product_is_no_superuser_and_a_wrong_password_is_refused(servers: Servers) -> None:
    url = servers.access.postgres.url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'mail'").fetchone() == (
            False,
        )
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(servers.access.postgres.password, "wrong"))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs everything as himself")
def test_as_root_postgres_runs_as_nobody_without_our_groups(servers: Servers) -> None:
    status = Path(f"/proc/{servers.postgres.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65534"] * 4
    assert fields["Groups"].split() in ([], ["65534"])


def test_valkey_asks_for_its_password_and_evicts_nothing(servers: Servers) -> None:
    with redis.Redis(port=servers.access.valkey.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with servers.valkey.connect() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("save") == {"save": ""}


def test_s3_refuses_a_wrong_key(servers: Servers) -> None:
    access = servers.access.s3
    wrong = S3Access(port=access.port, access_key=access.access_key, secret_key="wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3_client(wrong).list_objects_v2(Bucket="mail")


def test_an_object_outlives_the_killing_of_its_server_and_is_there_at_once(servers: Servers) -> None:
    client = s3_client(servers.access.s3)
    client.put_object(Bucket="mail", Key="kept", Body=b"bytes")
    servers.s3.kill()
    servers.s3.restart()
    assert client.get_object(Bucket="mail", Key="kept")["Body"].read() == b"bytes"
    client.put_object(Bucket="mail", Key="another", Body=b"bytes")


def test_postgres_killed_with_an_open_session_starts_again(servers: Servers) -> None:
    with psycopg.connect(servers.access.postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")
        servers.postgres.kill()
        servers.postgres.restart()
    with psycopg.connect(servers.access.postgres.url, autocommit=True) as connection:
        assert connection.execute("SELECT word FROM kept LIMIT 1").fetchone() == ("here",)
        connection.execute("DROP TABLE kept")


def test_a_stopped_postgres_leaves_no_session_behind(servers: Servers) -> None:
    with psycopg.connect(servers.access.postgres.url):
        servers.postgres.stop()
        assert not servers.postgres.is_running
        wait_until(lambda: not find_working_in(servers.postgres.cluster), 5)


def test_secret_files_are_for_their_owner_alone() -> None:
    for name in ("embedded.json", "secret_key", "valkey/valkey.conf", "seaweed/s3.json"):
        assert stat.S_IMODE((DATA_DIR / name).stat().st_mode) == 0o600, name
    for name in ("valkey", "seaweed", "logs", "postgres"):
        assert stat.S_IMODE((DATA_DIR / name).stat().st_mode) == 0o700, name


def test_no_password_is_in_a_command_line(servers: Servers) -> None:
    secrets = {
        servers.access.postgres.password,
        servers.access.postgres.superuser_password,
        servers.access.valkey.password,
        servers.access.s3.secret_key,
    }
    for server in (servers.postgres, servers.valkey, servers.s3):
        words = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in words]


def test_the_log_keeps_two_writers_apart(tmp_path: Path) -> None:
    log = Log(tmp_path, screen=False)
    log.record("web", "one", on_screen=False)
    log.record("work", "two", on_screen=False)
    log.close()
    assert (tmp_path / "web.log").read_text() == "one\n"
    assert (tmp_path / "work.log").read_text() == "two\n"


def _listening_addresses(pid: int) -> set[str]:
    """The addresses on which process `pid` listens, as /proc/net writes them."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    addresses = set[str]()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in sockets:
                addresses.add(fields[1].split(":")[0])
    return addresses
