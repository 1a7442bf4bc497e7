"""The addresses of this room's pages."""

from django.urls import path

from aims.compliance.views import consents, keeping, report, seats

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
    path("compliance/consents/<str:ref>/do/", keeping.carry_out),
    path("compliance/keeping/", keeping.overview, name="keeping"),
    path("compliance/keeping/retention/", keeping.retention, name="keeping-retention"),
    path("compliance/keeping/holds/new/", keeping.place_hold, name="hold-new"),
    path("compliance/keeping/holds/<str:ref>/release/", keeping.release_hold),
    path("compliance/keeping/erase/", keeping.ask_erasure, name="erase"),
    path("compliance/auditors/", seats.seats, name="seats"),
    path("compliance/auditors/new/", seats.new_seat, name="seat-new"),
    path("compliance/auditors/<str:ref>/", seats.seat, name="seat"),
    path("compliance/auditors/<str:ref>/prolong/", seats.prolong),
    path("compliance/auditors/<str:ref>/end/", seats.end),
    path("compliance/reading/", seats.reading, name="reading"),
]
