from django.apps import AppConfig


class IdentifierConfig(AppConfig):
    name = "aims.identifier"
    label = "identifier"
