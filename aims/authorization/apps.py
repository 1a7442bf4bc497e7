from django.apps import AppConfig


class AuthorizationConfig(AppConfig):
    name = "aims.authorization"
    label = "authorization"
