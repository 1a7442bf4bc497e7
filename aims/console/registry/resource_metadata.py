"""The page about what a resource should tell its callers, and the document to download."""

from __future__ import annotations

import json

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from aims.console.resource_metadata import told_by
from aims.identifier.models import Resource
from aims.people.access import signed_in


@require_safe
@signed_in
def metadata_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show the metadata document of a resource, where it must be served, and the challenges that lead there."""
    resource = get_object_or_404(Resource, ref=ref)
    told = told_by(resource)
    words = {
        "nothing": _("No token came"),
        "token": _("The token is no good"),
        "scope": _("The token allows too little"),
        "person": _("A person must say yes"),
    }
    lines = told.challenges if told else ()
    shown = {
        "resource": resource,
        "told": told,
        "document": _pretty(told.document) if told else "",
        "challenges": [{"words": words[why], "status": status, "challenge": line} for why, status, line in lines],
    }
    return render(request, "resources/metadata.html", shown)


@require_safe
@signed_in
def metadata_file(request: HttpRequest, ref: str) -> HttpResponse:
    """Give the document as a file."""
    told = told_by(get_object_or_404(Resource, ref=ref))
    if told is None:
        raise Http404
    headers = {"Content-Disposition": 'attachment; filename="oauth-protected-resource.json"'}
    return HttpResponse(_pretty(told.document), content_type="application/json", headers=headers)


def _pretty(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
