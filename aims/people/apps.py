from django.apps import AppConfig


class PeopleConfig(AppConfig):
    name = "aims.people"
    label = "people"
