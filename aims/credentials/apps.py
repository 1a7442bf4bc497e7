from django.apps import AppConfig


class CredentialsConfig(AppConfig):
    name = "aims.credentials"
    label = "credentials"
