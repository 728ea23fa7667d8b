"""The Dramatiq broker: wake-ups only. A lost one is found again by the sweeper, so nothing is retried or kept here."""

import dramatiq
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, ShutdownNotifications
from redis import Redis


class _Broker(RedisBroker):
    """Nothing is delayed here, so no thread looks twelve times a second for what is."""

    def get_declared_delay_queues(self) -> set[str]:
        return set()


def configure_broker() -> dramatiq.Broker:
    """Set the process's broker from BROKER_URL: redis:// or amqp:// (RabbitMQ).

    No Retries, TimeLimit or AgeLimit: rows own their schedules, and a time limit could fire between a remote server's
    250 and our commit.
    """
    middleware = [ShutdownNotifications(notify_shutdown=True), CurrentMessage(), AsyncIO()]
    broker: dramatiq.Broker
    if settings.BROKER_URL.startswith("amqp"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        broker = RabbitmqBroker(url=settings.BROKER_URL, middleware=middleware)
    else:
        # Without a time-out, a Redis that hangs would hang whoever has just committed.
        client = Redis.from_url(settings.BROKER_URL, socket_timeout=5, socket_connect_timeout=2)
        broker = _Broker(  # type: ignore[no-untyped-call]
            client=client, middleware=middleware, namespace="wake"
        )
    dramatiq.set_broker(broker)
    return broker
