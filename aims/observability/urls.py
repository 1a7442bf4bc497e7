"""The addresses of this room's pages."""

from django.urls import path

from aims.observability import views

urlpatterns = [
    path("findings/", views.finding_list, name="findings"),
    path("findings/rules/", views.rule_page, name="finding-rules"),
    path("findings/<slug:ref>/", views.finding_page, name="finding"),
    path("findings/<slug:ref>/acknowledge/", views.acknowledge, name="finding-acknowledge"),
    path("findings/<slug:ref>/close/", views.close, name="finding-close"),
]
