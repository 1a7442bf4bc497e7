"""Addresses of the inbox and of receipts."""

from __future__ import annotations

from django.urls import path

from approvals import endpoints, views

urlpatterns = [
    path("inbox/", views.inbox, name="inbox"),
    path("inbox/part/", views.list_part, name="inbox-part"),
    path("inbox/count/", views.count, name="inbox-count"),
    path("inbox/<slug:ref>/", views.one, name="inbox-one"),
    path("inbox/<slug:ref>/card/", views.card_part, name="inbox-card"),
    path("inbox/<slug:ref>/approve/", views.approve, name="inbox-approve"),
    path("inbox/<slug:ref>/deny/", views.deny, name="inbox-deny"),
    path("receipts/<slug:ref>", endpoints.receipt, name="receipt-machine"),
    path("receipts/<slug:ref>/", views.receipt, name="receipt"),
    path("receipts/<slug:ref>/file/", views.receipt_file, name="receipt-file"),
]
