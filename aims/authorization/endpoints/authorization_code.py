"""The code that a person's agreement ended in. Spec: RFC 6749 §4.1.3, RFC 7636 §4.5, RFC 8707 §2.2, RFC 9396 §6.1."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authorization.endpoints.agreement import answered
from aims.authorization.errors import InvalidRequest
from aims.authorization.pipeline import Call
from aims.authorization.services.agreed import Narrower
from aims.authorization.services.redeeming import Redemption, redeem_code

CODE = "authorization_code"


def handle(call: Call) -> HttpResponse:
    """Answer with the tokens of an agreement, or with why there are none."""
    return answered(call, CODE, lambda: redeem_code(call.client, _asked(call), now=call.now))


def _asked(call: Call) -> Redemption:
    code, verifier = call.value("code"), call.value("code_verifier")
    if code is None:
        raise InvalidRequest("code is missing.")
    if verifier is None:  # RFC 9700 §2.1.1
        raise InvalidRequest("code_verifier is missing.")
    narrower = Narrower(resources=call.values("resource"), scope=None, details=call.value("authorization_details"))
    return Redemption(
        code=code, redirect_uri=call.value("redirect_uri") or "", code_verifier=verifier, narrower=narrower
    )
