from django.apps import AppConfig


class MailplatformConfig(AppConfig):
    """The composition: commands that run the processes, and the broker every room's actors are declared on."""

    name = "mailplatform"
    label = "mailplatform"

    def ready(self) -> None:
        from mailplatform.broker import configure_broker

        configure_broker()
        from importlib import import_module

        for room in ("inbound", "outbound", "webhooks", "notifications", "automation"):
            import_module(f"apps.{room}.actors")
