"""Documents that everybody may read and that rarely change: made once, served as bytes with an ETag."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from aims.authorization.errors import MethodNotAllowed
from aims.authorization.pipeline import error_response

MAX_AGE_S = 300
REMADE_S = 30.0


@dataclass(frozen=True)
class _Document:
    body: bytes
    etag: str
    stale_at: float


class Published:
    """A view of one document. Remade every 30 s, so that a rotated key is seen without a restart."""

    csrf_exempt = True

    def __init__(self, make: Callable[[], dict[str, Any]], *, media_type: str) -> None:
        self.make, self.media_type = make, media_type
        self._document: _Document | None = None

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return _get_only()
        document = self._fresh()
        if request.META.get("HTTP_IF_NONE_MATCH") == document.etag:
            return self._with_headers(HttpResponse(status=304), document)
        return self._with_headers(HttpResponse(document.body, content_type=self.media_type), document)

    def forget(self) -> None:
        """Make the document anew at the next request."""
        self._document = None

    def _fresh(self) -> _Document:
        document = self._document
        if document is None or document.stale_at < time.monotonic():
            body = json.dumps(self.make(), separators=(",", ":")).encode()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            document = self._document = _Document(body, etag, time.monotonic() + REMADE_S)
        return document

    def _with_headers(self, response: HttpResponse, document: _Document) -> HttpResponse:
        response["ETag"] = document.etag
        response["Cache-Control"] = f"public, max-age={MAX_AGE_S}"
        response["Access-Control-Allow-Origin"] = "*"  # public; browser-based clients read it too
        return response


def _get_only() -> HttpResponse:
    response = error_response(MethodNotAllowed("Use GET."))
    response["Allow"] = "GET, HEAD"
    return response
