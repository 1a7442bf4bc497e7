from django.apps import AppConfig


class PolicyConfig(AppConfig):
    name = "aims.policy"
    label = "policy"
