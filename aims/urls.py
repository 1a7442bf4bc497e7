"""Every address of the product, room by room (the wire first: machine endpoints are the hot ones)."""

from __future__ import annotations

from django.urls import include, path

from aims.console import health, labels, reporting, story
from aims.console.api import metadata, schema
from aims.console.api import urls as api
from audit import urls as audit_urls

urlpatterns = [
    path("", include("aims.authorization.urls")),
    path(metadata.ROUTE, metadata.protected_resource),
    path("", include(audit_urls.log_urls)),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("api/schema/", schema.schema),
    path("api/docs/", schema.docs, name="api-docs"),
    path("", include((api.mounted, "api"))),
    path("", include("aims.console.urls")),
    path("", include("aims.console.registry.urls")),
    path("", include("aims.compliance.urls")),
    path("", include("aims.observability.urls")),
    path("", include("aims.people.urls")),
    path("", include("approvals.urls")),
    path("audit/", include(audit_urls.pages(labels.of, story.EXTRAS, reporting.READERS))),
]

handler400 = "aims.console.views.bad_request"
handler403 = "aims.console.views.permission_denied"
handler404 = "aims.console.views.page_not_found"
handler500 = "aims.console.views.server_error"
