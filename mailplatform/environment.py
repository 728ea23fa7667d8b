"""Everything that may be set from outside, read once, checked, and typed. No other module reads the
environment.

Values come from the process's environment, then from `.env` in the project root, then from the defaults,
which serve `make run`. An empty value counts as unset. The three servers may be outside ones, each for itself
(`DATABASE_URL`, `REDIS_URL`, `S3_ENDPOINT_URL`); what is unset is taken from the embedded servers'
`embedded.json`.

A bad value raises EnvironmentInvalid, whose text is one line that names the variable and never shows a value
that may be secret.
"""

import re
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from apps.outbound.limits.provider_table import read_table
from mailplatform.embedded.access import (
    FILE_NAME,
    EmbeddedAccess,
    S3Access,
    write_secret_file,
)

PROJECT_ROOT = Path(__file__).resolve().parent.parent
KEY_FILE_NAME = "secret_key"

# RFC 863's discard port, where nothing listens: commands that need no server (`manage.py check`, the type
# checker) load settings before the stack has ever run, and one that does need a server is refused at once.
NOWHERE = "127.0.0.1:9"

Port = Annotated[int, Field(ge=1, le=65535)]
Network = IPv4Network | IPv6Network

_HOST_NAME = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")

_VARIABLES = {"data_dir": "MAILPLATFORM_DATA_DIR"}
_SCHEMES = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": ("redis", "rediss"),
    "broker_url": ("redis", "rediss", "amqp", "amqps"),
    "s3_endpoint_url": ("http", "https"),
    "web_origin": ("http", "https"),
    "content_origin": ("http", "https"),
    "relay_url": ("smtp", "smtps"),
    "rspamd_url": ("http", "https"),
}


class EnvironmentInvalid(Exception):
    """A setting from outside cannot be used; the text is one line naming its variable."""


class Environment(BaseSettings):
    """One field a variable, of the same name in capitals (`data_dir` is MAILPLATFORM_DATA_DIR).

    Sizes are bytes. URLs that are "" stand for the embedded server until `load_environment` has filled them
    in.
    """

    model_config = SettingsConfigDict(
        env_file=PROJECT_ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=False,
        validate_default=False,
    )

    data_dir: Path = Field(default=PROJECT_ROOT / "var", validation_alias="MAILPLATFORM_DATA_DIR")

    web_host: str = "127.0.0.1"
    web_port: Port = 8000
    web_origin: str = ""
    content_origin: str = ""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    secret_key: str = Field(default="", repr=False)
    secret_key_fallbacks: Annotated[tuple[str, ...], NoDecode] = Field(default=(), repr=False)
    metrics_token: str = Field(default="", repr=False)

    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 2525
    submission_port: Port = 2587
    smtp_max_size_bytes: Annotated[int, Field(ge=1024)] = 30 * 1024 * 1024
    smtp_trusted_networks: Annotated[tuple[Network, ...], NoDecode] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )

    smtp_connections_per_minute: Annotated[int, Field(ge=0)] = 120
    smtp_messages_per_minute: Annotated[int, Field(ge=0)] = 600
    smtp_proxy_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    smtp_tls_certificate: Path | None = None
    smtp_tls_key: Path | None = None

    webhook_allowed_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    fetch_allowed_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    mail_hostname: str = ""
    dns_servers: Annotated[tuple[tuple[str, int], ...], NoDecode] = ()
    arc_trusted_sealers: Annotated[tuple[str, ...], NoDecode] = ()

    sink_port: Port = 2526
    relay_url: str = Field(default="", repr=False)
    return_path_domain: str = ""

    clamd_url: str = ""
    rspamd_url: str = ""
    rspamd_password: str = Field(default="", repr=False)

    database_url: str = Field(default="", repr=False)
    redis_url: str = Field(default="", repr=False)
    broker_url: str = Field(default="", repr=False)
    s3_endpoint_url: str = ""
    s3_bucket: str = "mail"
    s3_access_key: str = ""
    s3_secret_key: str = Field(default="", repr=False)

    worker_threads: Annotated[int, Field(ge=1, le=256)] = 8
    receive_processes: Annotated[int, Field(ge=1, le=64)] = 1
    # How many worker processes send: the share of each limit that one keeps to while Redis is away.
    sending_processes: Annotated[int, Field(ge=1, le=1024)] = 4
    provider_limits_file: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    debug: bool = False

    @property
    def relay_urls(self) -> tuple[str, ...]:
        """RELAY_URL's relays, in the order in which they were given."""
        return tuple(_split_list(self.relay_url))

    @field_validator("data_dir")
    @classmethod
    def _place_data_dir(cls, value: Path) -> Path:
        # Against the project rather than the working directory: every process must find the same folder.
        return (PROJECT_ROOT / value.expanduser()).resolve()

    @field_validator("allowed_hosts", "secret_key_fallbacks", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return tuple(_split_list(value)) if isinstance(value, str) else value

    @field_validator(
        "smtp_trusted_networks",
        "smtp_proxy_networks",
        "webhook_allowed_networks",
        "fetch_allowed_networks",
        mode="before",
    )
    @classmethod
    def _parse_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(network) for network in _split_list(value))

    @field_validator("dns_servers", mode="before")
    @classmethod
    def _parse_servers(cls, value: object) -> object:
        return tuple(_parse_server(one) for one in _split_list(value)) if isinstance(value, str) else value

    @field_validator("mail_hostname", "return_path_domain")
    @classmethod
    def _check_host_name(cls, value: str) -> str:
        name = value.strip().rstrip(".").lower()
        if name and not _HOST_NAME.fullmatch(name):
            raise ValueError("must be a host name of DNS, such as mail.example.org")
        return name

    @field_validator("arc_trusted_sealers", mode="before")
    @classmethod
    def _parse_sealers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(one.rstrip(".").lower() for one in _split_list(value))
        if not all(_HOST_NAME.fullmatch(one) for one in names):
            raise ValueError("must be domains, such as lists.example.org")
        return names

    @field_validator("log_level", mode="before")
    @classmethod
    def _capitalise_level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("clamd_url")
    @classmethod
    def _check_clamd_url(cls, value: str) -> str:
        if value.startswith("unix:"):
            if not value.startswith("unix:///") or value == "unix:///":
                raise ValueError("a socket is unix:///, then its path")
        else:
            _check_url(value, ("tcp", "unix"))
        return value

    @field_validator("database_url", "redis_url", "broker_url", "s3_endpoint_url", "rspamd_url")
    @classmethod
    def _check_server_url(cls, value: str, info: ValidationInfo) -> str:
        _check_url(value, _SCHEMES[str(info.field_name)])
        return value

    @field_validator("relay_url")
    @classmethod
    def _check_relay_urls(cls, value: str) -> str:
        for url in _split_list(value):
            _check_url(url, _SCHEMES["relay_url"])
        return value

    @field_validator("smtp_tls_certificate", "smtp_tls_key")
    @classmethod
    def _place_certificate(cls, value: Path | None) -> Path | None:
        return (PROJECT_ROOT / value.expanduser()).resolve() if value else None

    @field_validator("provider_limits_file")
    @classmethod
    def _check_provider_limits(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        path = (PROJECT_ROOT / value.expanduser()).resolve()
        try:
            read_table(path)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        return path

    @field_validator("web_origin", "content_origin")
    @classmethod
    def _check_origin(cls, value: str) -> str:
        parts = _check_url(value, _SCHEMES["web_origin"])
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("must be scheme, host and port alone, as in https://mail.test")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        taken: dict[int, str] = {}
        for name in ("web_port", "smtp_port", "submission_port", "sink_port"):
            port: int = getattr(self, name)
            if port in taken:
                raise ValueError(
                    f"{name.upper()}: {port} is already {taken[port]}; each needs a port of its own"
                )
            taken[port] = name.upper()
        return self

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if self.smtp_tls_key and not self.smtp_tls_certificate:
            raise ValueError("SMTP_TLS_CERTIFICATE: must be set when SMTP_TLS_KEY is")
        return self

    @model_validator(mode="after")
    def _check_s3_keys(self) -> Self:
        if self.s3_endpoint_url:
            for name in ("s3_access_key", "s3_secret_key"):
                if not getattr(self, name):
                    raise ValueError(f"{name.upper()}: must be set when S3_ENDPOINT_URL is")
        return self


def read_environment() -> Environment:
    """What is set from outside, with what is not still "". Raises EnvironmentInvalid."""
    try:
        return Environment()
    except ValidationError as error:
        # Without the chain: pydantic's own report would follow, with the values in it.
        raise EnvironmentInvalid("; ".join(_explain(one) for one in error.errors())) from None


def load_environment() -> Environment:
    """Every setting, complete: origins and relays derived, the embedded servers' addresses filled in.

    Where the stack has never run the servers' URLs lead nowhere, and connecting is refused. Makes the secret
    key of a new data folder. Raises EnvironmentInvalid.
    """
    given = read_environment()
    access = _read_access(given.data_dir)
    database_url = given.database_url or (
        access.postgres.url if access else f"postgresql://mail@{NOWHERE}/mail"
    )
    redis_url = given.redis_url or (access.valkey.url if access else f"redis://{NOWHERE}/0")
    web_origin = given.web_origin or f"http://127.0.0.1:{given.web_port}"
    content_origin = given.content_origin or f"http://localhost:{given.web_port}"
    if web_origin == content_origin:
        raise EnvironmentInvalid(
            f"CONTENT_ORIGIN: {content_origin} is WEB_ORIGIN too; mail needs an origin of its own"
        )
    derived: dict[str, object] = {
        "database_url": database_url,
        "redis_url": redis_url,
        "broker_url": given.broker_url or redis_url,
        "web_origin": web_origin,
        "content_origin": content_origin,
        "allowed_hosts": given.allowed_hosts or _hosts_of(web_origin, content_origin),
        "relay_url": given.relay_url or f"smtp://127.0.0.1:{given.sink_port}",
        "secret_key": given.secret_key or _keep_secret_key(given.data_dir),
        "mail_hostname": given.mail_hostname or _public_name(web_origin),
    }
    if not given.s3_endpoint_url:
        s3 = access.s3 if access else S3Access(port=9)
        derived |= {"s3_endpoint_url": s3.url, "s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
    return given.model_copy(update=derived)


def _explain(error: ErrorDetails) -> str:
    """One pydantic error as `VARIABLE: what is wrong`; a check across variables names its own."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    message = message.replace("Input should be", "must be")
    return f"{_VARIABLES.get(name, name).upper()}: {message}"


def _split_list(value: str) -> list[str]:
    return value.replace(",", " ").split()


def _parse_server(text: str) -> tuple[str, int]:
    """`192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`. Raises ValueError."""
    host, port = text, "53"
    if text.startswith("["):
        host, _bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _colon, port = text.partition(":")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{text} has no port from 1 to 65535")
    try:
        return str(ip_address(host)), int(port)
    except ValueError as error:
        raise ValueError(f"{text} is no address, such as 192.0.2.53 or 192.0.2.53:5353") from error


def _public_name(origin: str) -> str:
    """The origin's host where it is a name the world may look up; "" for an address or a name of this machine."""
    host = urlsplit(origin).hostname or ""
    return host if _HOST_NAME.fullmatch(host) and not host.rpartition(".")[2].isdecimal() else ""


def _check_url(value: str, schemes: tuple[str, ...]) -> SplitResult:
    """Split a URL, or raise ValueError with a text that quotes nothing, for the URL may hold a password."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("is not a URL with a host and, perhaps, a port") from None
    if not usable:
        raise ValueError(f"must start with {wanted} and name a host")
    return parts


def _hosts_of(*origins: str) -> tuple[str, ...]:
    names = dict.fromkeys([*(urlsplit(origin).hostname for origin in origins), "127.0.0.1", "localhost"])
    return tuple(name for name in names if name)


def _read_access(data_dir: Path) -> EmbeddedAccess | None:
    try:
        return EmbeddedAccess.read(data_dir)
    except OSError as error:
        raise EnvironmentInvalid(
            f"MAILPLATFORM_DATA_DIR: cannot read {error.filename}: {error.strerror}"
        ) from error
    except ValueError:
        # Without the chain: pydantic quotes what it read, and this file is all passwords.
        raise EnvironmentInvalid(f"MAILPLATFORM_DATA_DIR: {data_dir / FILE_NAME} is damaged") from None


def _keep_secret_key(data_dir: Path) -> str:
    """The data folder's own key, made at the first call; two processes calling at once agree on one."""
    path = data_dir / KEY_FILE_NAME
    try:
        if not path.exists():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = data_dir / f".{KEY_FILE_NAME}.{secrets.token_hex(8)}"
            write_secret_file(draft, secrets.token_urlsafe(50))
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass  # another process was quicker; its key is the one
            finally:
                draft.unlink()
        return path.read_text()
    except OSError as error:
        raise EnvironmentInvalid(
            f"SECRET_KEY: not set, and {path} cannot be kept: {error.strerror}"
        ) from error
