"""The addresses of this room's pages."""

from django.urls import path

from aims.compliance.views import consents, report, seats

urlpatterns = [
    path("compliance/", report.requirements, name="compliance"),
    path("compliance/measure/", report.measure_again, name="compliance-measure"),
    path("compliance/scorecard/", report.fleet, name="compliance-fleet"),
    path("compliance/consents/", consents.consent_list, name="consents"),
    path("compliance/consents/<str:ref>/", consents.consent, name="consent"),
    path("compliance/consents/<str:ref>/begin/", consents.begin),
    path("compliance/consents/<str:ref>/finish/", consents.finish),
    path("compliance/consents/<str:ref>/deny/", consents.deny),
    path("compliance/consents/<str:ref>/withdraw/", consents.withdraw),
    path("compliance/auditors/", seats.seats, name="seats"),
    path("compliance/auditors/new/", seats.new_seat, name="seat-new"),
    path("compliance/auditors/<str:ref>/", seats.seat, name="seat"),
    path("compliance/auditors/<str:ref>/prolong/", seats.prolong),
    path("compliance/auditors/<str:ref>/end/", seats.end),
    path("compliance/reading/", seats.reading, name="reading"),
]
