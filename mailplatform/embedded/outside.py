"""Whether the outside servers of the settings can be reached, asked before anything is started."""

import socket
from urllib.parse import urlsplit

import psycopg
import redis

from mailplatform.embedded.errors import StackFailed
from mailplatform.environment import Environment

_CONNECT_SECONDS = 5


def check_outside_servers(given: Environment) -> None:
    """Raise StackFailed, naming the variable, for one that does not answer. Never shows a password."""
    if given.database_url:
        _check_database(given.database_url)
    if given.redis_url:
        _check_redis(given.redis_url)
    if given.s3_endpoint_url:
        _check_s3(given.s3_endpoint_url)


def _check_database(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.Error as error:
        raise StackFailed(f"DATABASE_URL: {' '.join(str(error).split())}") from error


def _check_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=_CONNECT_SECONDS) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise StackFailed(f"REDIS_URL: {error}") from error


def _check_s3(url: str) -> None:
    """Only that somebody listens: what the keys may do, the product learns and tells."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise StackFailed(f"S3_ENDPOINT_URL: cannot connect to {parts.hostname}:{port}: {error}") from error
