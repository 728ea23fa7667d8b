"""What a team without us would use, as a program: `python -m mailplatform.bench.post_office COMMAND COUNT BYTES`.

django-post-office over the run's own PostgreSQL, in a schema of its own, and a plain Dramatiq actor with Django's
`send_mail` over the run's own Valkey. Both as their documentation sets them up, both with one process. `fill` queues
COUNT mails and prints the seconds it took; `drain` sends what is queued; `actor` queues COUNT mails and works them
off with eight threads, Dramatiq's default. Where mail goes and what it runs over comes in the environment, because a
command line can be read by every user of the machine.
"""

import os
import sys
import time
from urllib.parse import urlsplit

import django
from django.conf import settings

SCHEMA = "alternatives"
_RECIPIENT = "customer@bench.invalid"
_THREADS = 8


def configure() -> None:
    """Django for the peers alone: none of the product's settings."""
    database = urlsplit(os.environ["BENCH_DATABASE_URL"])
    settings.configure(
        SECRET_KEY="a benchmark signs nothing",  # noqa: S106
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": database.path.strip("/"),
                "USER": database.username,
                "PASSWORD": database.password,
                "HOST": database.hostname,
                "PORT": database.port,
                "CONN_MAX_AGE": None,
                "OPTIONS": {"options": f"-c search_path={SCHEMA}"},
            }
        },
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates"},
            {
                "BACKEND": "post_office.template.backends.post_office.PostOfficeTemplates",
                "NAME": "post_office",
            },
        ],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=int(os.environ["BENCH_REMOTE_PORT"]),
        POST_OFFICE={
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
            "BATCH_SIZE": 5000,
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()


def prepare() -> None:
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    call_command("migrate", verbosity=0)


def fill(count: int, size_bytes: int) -> None:
    from post_office import mail

    text = _text(size_bytes)
    started = time.monotonic()
    for number in range(count):
        mail.send(_RECIPIENT, "support@bench.invalid", subject=f"Parcel {number}", message=text)
    print(f"{time.monotonic() - started:.4f}")  # noqa: T201 - its answer


def drain() -> None:
    from django.core.management import call_command

    call_command("send_queued_mail", log_level=0)


def actor(count: int, size_bytes: int) -> None:
    import dramatiq
    from django.core.mail import get_connection, send_mail
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=os.environ["BENCH_REDIS_URL"], namespace=SCHEMA)  # type: ignore[no-untyped-call]
    dramatiq.set_broker(broker)
    text = _text(size_bytes)

    @dramatiq.actor(queue_name="peer")
    def deliver(number: int) -> None:
        connection = get_connection("django.core.mail.backends.smtp.EmailBackend")
        send_mail(f"Parcel {number}", text, "support@bench.invalid", [_RECIPIENT], connection=connection)

    started = time.monotonic()
    for number in range(count):
        deliver.send(number)
    print(f"{time.monotonic() - started:.4f}", flush=True)  # noqa: T201 - its answer
    worker = dramatiq.Worker(broker, worker_threads=_THREADS)
    worker.start()
    broker.join("peer")
    worker.stop()


def _text(size_bytes: int) -> str:
    line = "The parcel we ordered has not come, and its tracking page says nothing.\n"
    return line * max(1, size_bytes // len(line))


def main(command: str, count: int, size_bytes: int) -> None:
    configure()
    if command == "prepare":
        prepare()
    elif command == "fill":
        fill(count, size_bytes)
    elif command == "drain":
        drain()
    elif command == "actor":
        actor(count, size_bytes)
    else:
        raise SystemExit(f"unknown command: {command}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
