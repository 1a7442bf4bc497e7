from django.apps import AppConfig


class ObservabilityConfig(AppConfig):
    name = "aims.observability"
    label = "observability"
