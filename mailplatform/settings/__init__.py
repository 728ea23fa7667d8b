"""Django's settings, composed from the environment. Nothing here reads a variable; `environment.py` did."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONCE

from mailplatform.embedded.access import CERTIFICATE_FILE_NAME
from mailplatform.environment import PROJECT_ROOT, load_environment
from mailplatform.settings.logs import logging_config

ENVIRONMENT = load_environment()
BASE_DIR: Path = PROJECT_ROOT

SECRET_KEY = ENVIRONMENT.secret_key
SECRET_KEY_FALLBACKS = list(ENVIRONMENT.secret_key_fallbacks)
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
WEB_ORIGIN = ENVIRONMENT.web_origin
CONTENT_ORIGIN = ENVIRONMENT.content_origin
CSRF_TRUSTED_ORIGINS = [WEB_ORIGIN]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "apps.organisations",
    "apps.accounts",
    "apps.blobs",
    "apps.events",
    "apps.mailboxes",
    "apps.tickets",
    "apps.outbound",
    "apps.webhooks",
    "apps.notifications",
    "apps.automation",
    "apps.reading",
    "apps.writing",
    "apps.inbound",
    "apps.monitoring",
    "apps.erasure",
    "apps.live",
    "apps.api",
    "apps.webmail",
    "mailplatform",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.webmail.content_host.ContentHostMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
]

ROOT_URLCONF = "mailplatform.urls"
CONTENT_URLCONF = "apps.webmail.content_urls"
ASGI_APPLICATION = "mailplatform.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]


# Of one process.
DATABASE_CONNECTIONS = 2 * ENVIRONMENT.worker_threads + 8


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "mailplatform.database",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        # A pool per process; Django wants CONN_MAX_AGE 0 with it. Waiting longer for a connection than a
        # customer's server waits for our 250 would help nobody.
        "CONN_MAX_AGE": 0,
        # Our engine checks each connection it takes from the pool.
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {
            "pool": {
                "min_size": 1,
                "max_size": DATABASE_CONNECTIONS,
                "timeout": 10,
                # The pool doubles its pause between attempts for this long, and begins anew with whoever comes next.
                # Left at its 300 s, an outage of minutes would be followed by minutes without a connection.
                "reconnect_timeout": 10,
                "max_idle": 120,
            },
            "connect_timeout": 5,
            # For what goes through `organisations.prepared`; what Django sends has its values in it.
            "prepare_threshold": 5,
            # What the URL asks of the connection, such as sslmode (libpq's names), comes last and wins.
            **dict(parse_qsl(parts.query)),
        },
    }


DATABASES = {"default": _database(ENVIRONMENT.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": ENVIRONMENT.redis_url,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [ENVIRONMENT.redis_url], "prefix": "live"},
    }
}
REDIS_URL = ENVIRONMENT.redis_url
BROKER_URL = ENVIRONMENT.broker_url
WORKER_THREADS = ENVIRONMENT.worker_threads
RECEIVE_PROCESSES = ENVIRONMENT.receive_processes
SENDING_PROCESSES = ENVIRONMENT.sending_processes
PROVIDER_LIMITS_FILE = ENVIRONMENT.provider_limits_file

OBJECT_STORE = {
    "endpoint_url": ENVIRONMENT.s3_endpoint_url,
    "bucket": ENVIRONMENT.s3_bucket,
    "access_key": ENVIRONMENT.s3_access_key,
    "secret_key": ENVIRONMENT.s3_secret_key,
}

SMTP_HOST = ENVIRONMENT.smtp_host
SMTP_PORT = ENVIRONMENT.smtp_port
SUBMISSION_PORT = ENVIRONMENT.submission_port
SINK_PORT = ENVIRONMENT.sink_port
SMTP_MAX_SIZE_BYTES = ENVIRONMENT.smtp_max_size_bytes
SMTP_CONNECTIONS_PER_MINUTE = ENVIRONMENT.smtp_connections_per_minute
SMTP_MESSAGES_PER_MINUTE = ENVIRONMENT.smtp_messages_per_minute
SMTP_PROXY_NETWORKS = ENVIRONMENT.smtp_proxy_networks
SMTP_TLS_CERTIFICATE: Path = ENVIRONMENT.smtp_tls_certificate or ENVIRONMENT.data_dir / CERTIFICATE_FILE_NAME
# One file may hold both, as programs that renew certificates can be told to write it.
SMTP_TLS_KEY: Path = ENVIRONMENT.smtp_tls_key or SMTP_TLS_CERTIFICATE
SMTP_TRUSTED_NETWORKS = ENVIRONMENT.smtp_trusted_networks
WEBHOOK_ALLOWED_NETWORKS = ENVIRONMENT.webhook_allowed_networks
FETCH_ALLOWED_NETWORKS = ENVIRONMENT.fetch_allowed_networks
MAIL_HOSTNAME = ENVIRONMENT.mail_hostname
DNS_SERVERS = list(ENVIRONMENT.dns_servers)
ARC_TRUSTED_SEALERS = list(ENVIRONMENT.arc_trusted_sealers)
RETURN_PATH_DOMAIN = ENVIRONMENT.return_path_domain
RELAY_URLS = list(ENVIRONMENT.relay_urls)
CLAMD_URL = ENVIRONMENT.clamd_url
RSPAMD_URL = ENVIRONMENT.rspamd_url
RSPAMD_PASSWORD = ENVIRONMENT.rspamd_password
WEB_HOST = ENVIRONMENT.web_host
WEB_PORT = ENVIRONMENT.web_port
METRICS_TOKEN = ENVIRONMENT.metrics_token

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "webmail:sign-in"
LOGIN_REDIRECT_URL = "webmail:home"
LOGOUT_REDIRECT_URL = "webmail:sign-in"

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
_HTTPS = WEB_ORIGIN.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "apps.webmail.views.troubles.stale_form"

# No 'self' for scripts: an uploaded .js on our own origin would pass it. Nonces only.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": [NONCE],
        "style-src": ["'self'"],
        # Thumbnails; bodies have a frame and a policy of their own.
        "img-src": ["'self'", "data:", "blob:", CONTENT_ORIGIN],
        "font-src": ["'self'"],
        "connect-src": ["'self'", WEB_ORIGIN.replace("http", "ws", 1)],
        "frame-src": [CONTENT_ORIGIN],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "manifest-src": ["'self'"],
        # One script by its full address, for a service worker has no nonce.
        "worker-src": [f"{WEB_ORIGIN}/service-worker.js"],
    }
}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "locale"]

STATIC_URL = "/static/"
STATICFILES_DIRS = (
    [("built", BASE_DIR / "static" / "built")] if (BASE_DIR / "static" / "built").is_dir() else []
)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 3600
# Built files carry a hash of their content in their names (static/build.mjs), so browsers may keep them for good.
WHITENOISE_IMMUTABLE_FILE_TEST = r"/built/.+-[0-9A-Z]{8}\.\w+$"

# Mail may carry attachments of the full message size; the limit on a message itself is SMTP_MAX_SIZE_BYTES. Base64
# takes four bytes for three.
DATA_UPLOAD_MAX_MEMORY_SIZE = SMTP_MAX_SIZE_BYTES * 3 // 2
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.api.problems.answer_problem",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mail platform",
    "DESCRIPTION": "Send and read mail, answer tickets, watch the queue.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "DeliveryState": "apps.outbound.models.DeliveryState",
        "TicketState": "apps.tickets.models.TicketState",
        "ErasureState": "apps.erasure.models.ErasureState",
        "HeldState": "apps.tickets.models.HeldState",
        "HeldFiles": "apps.tickets.models.ForbiddenFiles",
        "ErrorKind": "apps.api.serializers.queue.ErrorKind",
        "MailboxKind": "apps.mailboxes.models.MailboxKind",
        "MessageKind": "apps.mailboxes.models.MessageKind",
        "RelayKind": "apps.outbound.models.RelayKind",
        "SigningKeyAlgorithm": "apps.outbound.models.KeyAlgorithm",
        "SigningKeyState": "apps.outbound.models.KeyState",
        "DnsVerdict": "apps.api.serializers.domains.VERDICTS",
        "Lane": "apps.outbound.models.Lane",
        "SuppressionReason": "apps.outbound.models.SuppressionReason",
    },
}

LOGGING = logging_config(ENVIRONMENT.log_level)
LOGGING_CONFIG = "logging.config.dictConfig"
DATA_DIR = ENVIRONMENT.data_dir

# What forgetting a customer removes, in this order; every other table is rewritten after them (apps/erasure/walk.py).
ERASURE_STEPS = [
    "apps.inbound.erasing.Arrivals",
    "apps.writing.erasing.Drafts",
    "apps.writing.erasing.DraftFiles",
    "apps.writing.erasing.Correspondents",
    "apps.inbound.erasing.ReceivedMail",
    "apps.tickets.erasing.HeldMail",
    "apps.outbound.erasing.Refused",
    "apps.outbound.erasing.Messages",
    "apps.mailboxes.erasing.SharedMessages",
    "apps.tickets.erasing.Requesters",
    "apps.tickets.erasing.Trust",
]
