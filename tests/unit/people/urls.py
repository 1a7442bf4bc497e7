"""Only the pages of this room, so that its tests stand on their own."""

from django.urls import include, path

urlpatterns = [path("", include("aims.people.urls"))]
