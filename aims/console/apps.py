from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "aims.console"
    label = "console"
