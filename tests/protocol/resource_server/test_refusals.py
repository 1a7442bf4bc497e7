"""What is asked of a token beyond its holding, and how a no is written. RFC 6750 §3, 9449 §7.1, 9470 §3, 9728, 9396 §9."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aims.resource_server import challenge, errors, memory, metadata
from aims.resource_server.errors import (
    ApprovalForgotten,
    ApprovalLapsed,
    ApprovalMissing,
    ApprovalUsed,
    DetailNotCovered,
    InsufficientScope,
    InsufficientUserAuthentication,
    NoToken,
    Refused,
    TokenNotActive,
    Unavailable,
    UseNonce,
)
from aims.resource_server.guard import Call, Guard
from aims.resource_server.memory import InFile, InProcess
from tests.unit.resource_server.made import API, NOW, PAYMENT, Issuer, guard, request

OURS = Issuer()
METADATA = "https://pay.example/.well-known/oauth-protected-resource"


def called(checks: Guard, **claims: Any) -> Call:
    return checks.admit(request(OURS.token(**claims)), now=NOW)


def approved(checks: Guard, **changed: Any) -> Call:
    return checks.admit(request(OURS.approved(**changed)), now=NOW)


@pytest.mark.spec("RFC 6750", "3.1", "every scope that is needed must be there")
@pytest.mark.parametrize(
    ("held", "wanted", "is_enough"),
    [
        ("accounts.read drafts.write", ("accounts.read",), True),
        ("accounts.read drafts.write", ("drafts.write", "accounts.read"), True),
        ("accounts.read", ("accounts.read", "drafts.write"), False),
        ("accounts.read.all", ("accounts.read",), False),
        ("ACCOUNTS.READ", ("accounts.read",), False),
        ("accounts.read\tdrafts.write", ("accounts.read",), False),
        (["accounts.read"], ("accounts.read",), False),
        (None, ("accounts.read",), False),
        ("", ("accounts.read",), False),
    ],
)
def test_scopes(held: object, wanted: tuple[str, ...], is_enough: bool) -> None:
    checks = guard(OURS)
    call = called(checks, scope=held)
    if is_enough:
        checks.require_scope(call, *wanted)
    else:
        with pytest.raises(InsufficientScope) as caught:
            checks.require_scope(call, *wanted)
        assert (caught.value.status, caught.value.scopes) == (403, wanted)


@pytest.mark.spec("RFC 9470", "3", "the subject authenticated in this way, and recently")
@pytest.mark.parametrize(
    ("claims", "is_enough"),
    [
        ({"acr": "phr", "auth_time": NOW - 60}, True),
        ({"acr": "phrh", "auth_time": NOW}, True),
        ({"acr": "phr", "auth_time": NOW - 61}, False),
        ({"acr": "phr", "auth_time": NOW + 11}, False),
        ({"acr": "pwd", "auth_time": NOW}, False),
        ({"acr": ["phr"], "auth_time": NOW}, False),
        ({"acr": "phr"}, False),
        ({"acr": "phr", "auth_time": str(NOW)}, False),
        ({"auth_time": NOW}, False),
        ({}, False),
    ],
)
def test_authentication(claims: dict[str, Any], is_enough: bool) -> None:
    checks = guard(OURS)
    call = called(checks, **claims)
    if is_enough:
        checks.require_authentication(call, acr_values=("phr", "phrh"), max_age_s=60, now=NOW)
    else:
        with pytest.raises(InsufficientUserAuthentication) as caught:
            checks.require_authentication(call, acr_values=("phr", "phrh"), max_age_s=60, now=NOW)
        assert caught.value.status == 401
        assert caught.value.params == {"acr_values": "phr phrh", "max_age": "60"}


def test_authentication_may_be_asked_for_by_way_or_by_age_alone() -> None:
    checks = guard(OURS)
    checks.require_authentication(called(checks, acr="phr"), acr_values=("phr",), max_age_s=None, now=NOW)
    checks.require_authentication(called(checks, auth_time=NOW), acr_values=(), max_age_s=0, now=NOW)


@pytest.mark.parametrize(("acr", "is_enough"), [("phr", True), ("", False), ("p", False), ("ph", False)])
def test_of_one_way_given_as_a_word_no_part_is_enough(acr: str, is_enough: bool) -> None:
    checks = guard(OURS)
    call = called(checks, acr=acr)
    if is_enough:
        checks.require_authentication(call, acr_values="phr", max_age_s=None, now=NOW)
    else:
        with pytest.raises(InsufficientUserAuthentication) as caught:
            checks.require_authentication(call, acr_values="phr", max_age_s=None, now=NOW)
        assert caught.value.params == {"acr_values": "phr"}


@pytest.mark.spec("RFC 9396", "9.1", "the token allows exactly this action")
def test_another_action_is_refused() -> None:
    checks = guard(OURS)
    call = approved(checks)
    assert checks.require_detail(call, PAYMENT) == PAYMENT
    with pytest.raises(DetailNotCovered):
        checks.require_detail(call, PAYMENT | {"creditorName": "Mallory"})
    with pytest.raises(DetailNotCovered):
        checks.require_detail(called(checks), PAYMENT)


@pytest.mark.spec("RFC 7662", "2.2", "active is true, and nothing like it")
@pytest.mark.parametrize("answer", [{"active": False}, {}, {"active": "true"}, {"active": 1}, {"active": None}])
def test_a_token_that_is_not_active_is_refused(answer: Mapping[str, Any]) -> None:
    checks = guard(OURS, introspect=lambda token: answer)
    with pytest.raises(TokenNotActive):
        checks.require_active(called(checks))
    with pytest.raises(TokenNotActive):
        checks.use_approval(approved(checks), PAYMENT, now=NOW)


@pytest.mark.parametrize("error", [OSError("away"), ValueError("no JSON")])
def test_an_issuer_that_does_not_answer_lets_nothing_happen(error: Exception) -> None:
    def away(token: str) -> Mapping[str, Any]:
        raise error

    checks = guard(OURS, introspect=away)
    with pytest.raises(Unavailable):
        checks.use_approval(approved(checks), PAYMENT, now=NOW)
    assert guard(OURS, memory=checks.memory).use_approval(approved(checks), PAYMENT, now=NOW) == "arq_1"


@pytest.mark.spec("AIMS Console formats", "4", "one approval is one action, whatever token carries it")
def test_an_approval_is_used_once() -> None:
    checks = guard(OURS)
    assert checks.use_approval(approved(checks), PAYMENT, now=NOW) == "arq_1"
    with pytest.raises(ApprovalUsed):
        checks.use_approval(approved(checks), PAYMENT, now=NOW)
    assert checks.use_approval(approved(checks, approval_id="arq_2"), PAYMENT, now=NOW) == "arq_2"


@pytest.mark.spec("AIMS Console formats", "4", "the issuer hears of a use only where there is one")
def test_the_issuer_is_not_asked_about_a_spent_approval() -> None:
    asked: list[str] = []

    def active(token: str) -> dict[str, bool]:
        asked.append(token)
        return {"active": True}

    checks = guard(OURS, introspect=active)
    checks.use_approval(approved(checks), PAYMENT, now=NOW)
    with pytest.raises(ApprovalUsed):
        checks.use_approval(approved(checks), PAYMENT, now=NOW)
    assert len(asked) == 1


@pytest.mark.spec("AIMS Console formats", "4", "what an approval does not allow does not use it up")
def test_an_approval_is_used_up_only_by_what_it_allows() -> None:
    checks = guard(OURS)
    with pytest.raises(DetailNotCovered):
        checks.use_approval(approved(checks), PAYMENT | {"creditorName": "Mallory"}, now=NOW)
    assert checks.use_approval(approved(checks), PAYMENT, now=NOW)


@pytest.mark.spec("AIMS Console formats", "4", "approved_until ends it to the second")
def test_an_approval_lapses() -> None:
    checks = guard(OURS)
    call = approved(checks)
    with pytest.raises(ApprovalLapsed):
        checks.use_approval(call, PAYMENT, now=NOW + 300.5)
    assert checks.use_approval(call, PAYMENT, now=NOW + 300)


@pytest.mark.parametrize(
    "claim",
    [
        None, {}, [], "arq_1", True, {"id": "arq_1"}, {"approved_until": NOW + 9}, {"id": 1, "approved_until": NOW + 9},
        {"id": "", "approved_until": NOW + 9}, {"id": "x" * 256, "approved_until": NOW + 9}, {"id": "a\nb", "approved_until": NOW + 9},
        {"id": "arq_1", "approved_until": "later"}, {"id": "arq_1", "approved_until": True}, {"id": "arq_1", "approved_until": 1e300},
    ],
)  # fmt: skip
def test_what_is_no_approval_is_none(claim: object) -> None:
    checks = guard(OURS)
    with pytest.raises(ApprovalMissing) as caught:
        checks.use_approval(approved(checks, approval=claim), PAYMENT, now=NOW)
    assert caught.value.status == 401 and caught.value.error == "insufficient_user_authentication"


def test_an_approval_that_a_fresh_process_can_not_vouch_for_is_refused() -> None:
    checks = guard(OURS, memory=InProcess(began_at=NOW + 1))
    with pytest.raises(ApprovalForgotten):
        checks.use_approval(approved(checks), PAYMENT, now=NOW + 1)


@pytest.mark.spec("AIMS Console formats", "4", "of equal uses at once one happens")
def test_of_equal_uses_at_once_one_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_MAX_S", 60)
    start = threading.Barrier(6)

    def used(_: int) -> bool:
        checks = guard(OURS, memory=InFile(tmp_path / "used.sqlite3"))  # as in six processes
        call = approved(checks)
        start.wait(60)
        try:
            checks.use_approval(call, PAYMENT, now=NOW)
        except ApprovalUsed:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(used, range(6))) == 1


def written(refused: Refused, *sent: str, takes_bearer: bool = True, metadata_url: str | None = None) -> str:
    headers = challenge.headers_of(
        refused,
        authorization=sent,
        takes_bearer=takes_bearer,
        proof_algorithms={"ES256", "EdDSA"},
        metadata_url=metadata_url,
    )
    assert headers["Cache-Control"] == "no-store"
    return headers["WWW-Authenticate"]


ALGS = 'algs="ES256 EdDSA"'


@pytest.mark.spec("RFC 6750", "3.1", "no error code where nobody tried")
def test_who_did_not_try_is_told_the_schemes_only() -> None:
    assert written(NoToken()) == f"Bearer, DPoP {ALGS}"
    assert written(NoToken(), takes_bearer=False) == f"DPoP {ALGS}"
    assert written(NoToken(), "Basic YTpi") == f"Bearer, DPoP {ALGS}"


@pytest.mark.spec("RFC 9728", "5.1", "every challenge says where the metadata is")
def test_the_challenge_names_the_metadata() -> None:
    found = f'resource_metadata="{METADATA}"'
    assert written(NoToken(), metadata_url=METADATA) == f"Bearer {found}, DPoP {ALGS}, {found}"


@pytest.mark.spec("RFC 9449", "7.1, 7.2", "the scheme that was tried carries the error, the other is offered")
def test_the_error_stands_with_the_scheme_that_was_tried() -> None:
    told = 'error="invalid_token", error_description="The token has expired."'
    assert written(errors.TokenExpired(), "Bearer x") == f"Bearer {told}, DPoP {ALGS}"
    assert written(errors.TokenExpired(), "dpop x") == f"Bearer, DPoP {told}, {ALGS}"
    assert written(errors.TokenExpired(), "dpop x", takes_bearer=False) == f"DPoP {told}, {ALGS}"
    assert written(errors.TokenExpired(), "Bearer x", takes_bearer=False) == f"Bearer {told}, DPoP {ALGS}"
    many = written(errors.ManyCredentials(), "Bearer x", "DPoP x")
    assert many.startswith('Bearer error="invalid_request"') and many.endswith(f"DPoP {ALGS}")


@pytest.mark.spec("RFC 6750", "3.1", "insufficient_scope says which scope")
def test_a_missing_scope_is_named() -> None:
    assert 'error="insufficient_scope"' in written(InsufficientScope(["a", "b"]), "Bearer x")
    assert 'scope="a b"' in written(InsufficientScope(["a", "b"]), "Bearer x")


@pytest.mark.spec("RFC 9470", "3", "the step-up challenge says how and how recently")
def test_a_step_up_says_what_is_wanted() -> None:
    header = written(InsufficientUserAuthentication(acr_values=["phr", "phrh"], max_age_s=0), "Bearer x")
    assert header.startswith('Bearer error="insufficient_user_authentication"')
    assert 'acr_values="phr phrh", max_age="0"' in header


@pytest.mark.spec("RFC 9449", "9", "a nonce comes in its own header")
def test_a_nonce_comes_in_its_own_header() -> None:
    headers = guard(OURS).headers_of(UseNonce("n0nce"), request("x", scheme="DPoP"))
    assert headers["DPoP-Nonce"] == "n0nce" and 'DPoP error="use_dpop_nonce"' in headers["WWW-Authenticate"]
    assert "DPoP-Nonce" not in guard(OURS).headers_of(NoToken(), request(None))


def test_who_must_come_later_is_not_told_to_authenticate() -> None:
    headers = guard(OURS).headers_of(Unavailable(), request("x"))
    assert "WWW-Authenticate" not in headers and headers["Retry-After"]


def test_a_value_can_not_break_out_of_its_quotes() -> None:
    header = written(InsufficientScope(['a"\r\nSet-Cookie: b\\', "\u00e4"]), "Bearer x")
    assert 'scope="a???Set-Cookie: b? ?"' in header


def kinds(kind: type[Refused] = Refused) -> list[type[Refused]]:
    found = [kind]
    for sub in kind.__subclasses__():
        found += kinds(sub)
    return found


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_refusal_has_words_that_may_be_sent(kind: type[Refused]) -> None:
    made = UseNonce("n") if kind is UseNonce else kind()
    statuses = {"": {401, 503}, "invalid_request": {400}, "insufficient_scope": {403}}
    assert made.status in statuses.get(made.error, {401})
    assert challenge._NOT_IN_DESCRIPTION.search(made.description) is None and made.description.endswith(".")


def test_every_rule_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in kinds() if "code" in vars(kind)]
    assert len(codes) == len(set(codes))


@pytest.mark.spec("RFC 9728", "3.1", "the well-known part stands between host and path")
@pytest.mark.parametrize(
    ("identifier", "url"),
    [
        (API, METADATA),
        ("https://pay.example", METADATA),
        ("https://pay.example/v1", METADATA + "/v1"),
        ("https://pay.example/v1/", METADATA + "/v1/"),
        ("https://pay.example:8443/a/b?c=d", "https://pay.example:8443/.well-known/oauth-protected-resource/a/b?c=d"),
        ("http://localhost:9000/", "http://localhost:9000/.well-known/oauth-protected-resource"),
    ],
)
def test_where_the_metadata_is(identifier: str, url: str) -> None:
    assert metadata.well_known_url(identifier) == url


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "pay.example",
        "http://pay.example/",
        "https://pay.example/#a",
        "https://pay.example/#",
        "https:///a",
        "https://u@pay.example/",
        "urn:x",
    ],
)
def test_what_is_no_resource_identifier_has_no_metadata(identifier: str) -> None:
    with pytest.raises(ValueError):
        metadata.well_known_url(identifier)


@pytest.mark.spec("RFC 9728", "2, 3.2", "the document says what is there, and leaves out what is not")
def test_the_metadata_document() -> None:
    least = metadata.document(
        identifier=API, authorization_servers=["https://issuer.example"], takes_bearer=True, proof_algorithms=()
    )
    assert least == {
        "resource": API, "authorization_servers": ["https://issuer.example"], "bearer_methods_supported": ["header"],
    }  # fmt: skip
    strict = metadata.document(
        identifier=API, authorization_servers=["https://issuer.example"], takes_bearer=False,
        proof_algorithms={"ES256", "EdDSA"}, scopes=["accounts.read"], detail_types=["payment_initiation"], name="Payments",
    )  # fmt: skip
    assert strict["dpop_bound_access_tokens_required"] is True
    assert strict["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA"]
    assert strict["scopes_supported"] == ["accounts.read"] and strict["resource_name"] == "Payments"
