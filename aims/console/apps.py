from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "aims.console"
    label = "console"

    def ready(self) -> None:
        from aims.console import checks  # noqa: F401  registers them
