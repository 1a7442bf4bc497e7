"""The receipt for machines: whoever holds the access token that names it may fetch it."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from aims.authorization.models import AccessToken
from approvals.models import Receipt
from approvals.receipts import MEDIA_TYPE

_NO_STORE = {"Cache-Control": "no-store"}


@require_GET
def receipt(request: HttpRequest, ref: str) -> HttpResponse:
    """Return the receipt's exact bytes for the token whose ``approval.receipt_uri`` this is. Spec: RFC 6750 §2.1, §3.

    A spent or expired token still fetches: evidence is read after the act. A revoked one does not.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return JsonResponse({}, status=401, headers=_NO_STORE | {"WWW-Authenticate": "Bearer"})
    found = _receipt_of(token, ref)
    if found is None:
        headers = _NO_STORE | {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return JsonResponse({"error": "invalid_token"}, status=401, headers=headers)
    return HttpResponse(found.jws, content_type=MEDIA_TYPE, headers=_NO_STORE)


def _receipt_of(token: str, ref: str) -> Receipt | None:
    checksum = hashlib.sha256(token.encode()).hexdigest()
    is_named = AccessToken.objects.filter(token_checksum=checksum, revoked_at=None, request__receipt_ref=ref).exists()
    return Receipt.objects.filter(ref=ref).first() if is_named else None
