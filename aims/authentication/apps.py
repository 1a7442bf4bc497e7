from django.apps import AppConfig


class AuthenticationConfig(AppConfig):
    name = "aims.authentication"
    label = "authentication"
