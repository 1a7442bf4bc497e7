"""The baselines of ``loaded.py`` as URLs of their own: the bare view and the stock toolkit's token view."""

from __future__ import annotations

import json
import os
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from joserfc.jwk import ECKey

from tests.bench import stock

_core: Any = stock.stock_core()


def toolkit(request: HttpRequest) -> HttpResponse:
    """Answer through the toolkit."""
    _uri, headers, body, status = _core.create_token_response(request)
    return HttpResponse(body, status=status, headers=headers)


urlpatterns = [
    path("bare", stock.bare_view(ECKey.import_key(json.loads(os.environ["BENCH_KEY"])))),
    path("toolkit", toolkit),
]
