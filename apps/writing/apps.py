from django.apps import AppConfig


class WritingConfig(AppConfig):
    name = "apps.writing"
    label = "writing"
    verbose_name = "Writing"
