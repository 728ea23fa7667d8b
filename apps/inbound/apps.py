from django.apps import AppConfig


class InboundConfig(AppConfig):
    name = "apps.inbound"
    label = "inbound"
    verbose_name = "Mail in"

    def ready(self) -> None:
        from apps.inbound.figures import register_figures

        register_figures()
