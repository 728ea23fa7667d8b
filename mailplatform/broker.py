"""The Dramatiq broker: wake-ups only. A lost one is found again by the sweeper, so nothing is retried or kept here."""

import dramatiq
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, ShutdownNotifications


def configure_broker() -> dramatiq.Broker:
    """Set the process's broker from BROKER_URL: redis:// or amqp:// (RabbitMQ, with dramatiq[rabbitmq] installed).

    No Retries, TimeLimit or AgeLimit: rows own their schedules, and a time limit could fire between a remote server's
    250 and our commit.
    """
    middleware = [ShutdownNotifications(notify_shutdown=True), CurrentMessage(), AsyncIO()]
    broker: dramatiq.Broker
    if settings.BROKER_URL.startswith("amqp"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        broker = RabbitmqBroker(url=settings.BROKER_URL, middleware=middleware)
    else:
        broker = RedisBroker(  # type: ignore[no-untyped-call]
            url=settings.BROKER_URL, middleware=middleware, namespace="wake"
        )
    dramatiq.set_broker(broker)
    return broker
