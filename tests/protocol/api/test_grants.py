"""Grants over the management API: all their terms, what narrowing and taking back end, and who acts through whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import AccessToken, DelegationGrant
from aims.console.management import ensure_management_api
from aims.identifier import services as identifier
from aims.kit import clock
from tests.protocol.api.conftest import Desk, problem_of, recorded
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db
BUDGET = {"count": 10, "amounts": {"EUR": "25000.00"}}


def asked(desk: Desk, **changed: Any) -> dict[str, Any]:
    base = {
        "agent": desk.stage.agent.ref,
        "resource": desk.stage.pay.ref,
        "actions": ["accounts.read", "payments.create"],
        "detail_types": ["payment_initiation"],
        "until_at": (clock.now() + timedelta(hours=6)).isoformat(),
        "budget": BUDGET,
        "depth": 2,
    }
    return {name: value for name, value in (base | changed).items() if value is not None}


def given(desk: Desk, **changed: Any) -> Any:
    """Give a grant and let it be the only one of its agent."""
    before = DelegationGrant.objects.filter(agent=desk.stage.agent, parent=None)
    if "parent" not in changed:
        before.update(revoked_at=clock.now())
    answer = desk.post("grants/", asked(desk, **changed))
    assert answer.status_code == 201, answer.content
    return answer


def kestrel(desk: Desk) -> str:
    agent = desk.post("agents/", desk.new_agent("kestrel"))
    assert agent.status_code == 201
    return str(agent.json()["ref"])


def test_a_grant_is_given_with_all_its_terms(desk: Desk) -> None:
    starts = (clock.now() + timedelta(hours=1)).isoformat()
    answer = given(desk, starts_at=starts, mission="Settle")
    body = answer.json()
    assert (body["budget"], body["depth"], body["state"], body["parent"]) == (BUDGET, 2, "scheduled", None)
    assert desk.get(f"grants/{body['ref']}/")["ETag"] == answer["ETag"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"budget": {"count": 0}}, "invalid"),
        ({"budget": {"count": 1.5}}, "invalid_json"),
        ({"budget": {"counts": 1}}, "invalid"),
        ({"budget": {"amounts": {"EUR": 1}}}, "invalid"),
        ({"budget": {"amounts": {"EUR": "-1"}}}, "invalid"),
        ({"budget": {"amounts": {"QQQ": "1"}}}, "invalid"),
        ({"budget": "much"}, "invalid"),
        ({"depth": 5}, "invalid"),
        ({"depth": -1}, "invalid"),
        ({"parent": "grt_none"}, "invalid"),
        ({"starts_at": "soon"}, "invalid"),
        ({"starts_at": "2099-01-01T00:00:00Z"}, "invalid_grant_terms"),
        ({"until_at": "2099-01-01T00:00:00Z"}, "invalid_grant_terms"),
    ],
)
def test_terms_that_can_not_be_are_refused_and_nothing_is_written(
    desk: Desk, changed: dict[str, Any], code: str
) -> None:
    before = len(recorded("authorization.grant.given"))
    assert problem_of(desk.post("grants/", asked(desk, **changed))) == (400, code)
    assert len(recorded("authorization.grant.given")) == before


def test_a_grant_is_passed_on_never_wider_and_stays_of_its_giver(desk: Desk) -> None:
    DelegationGrant.objects.filter(agent=desk.stage.agent).update(depth=1)
    parent = DelegationGrant.objects.get(agent=desk.stage.agent)
    base = {"agent": kestrel(desk), "parent": parent.ref, "depth": 0, "until_at": parent.until_at.isoformat()}
    for wider in ({"depth": 1}, {"until_at": (parent.until_at + timedelta(seconds=1)).isoformat()}):
        assert problem_of(desk.post("grants/", asked(desk, **(base | wider)))) == (400, "invalid_grant_terms")
    body = given(desk, **base).json()
    assert (body["parent"], body["from_person"]) == (parent.ref, desk.stage.ada.ref)
    assert [row["ref"] for row in desk.get(f"grants/?parent={parent.ref}").json()["items"]] == [body["ref"]]
    found = desk.get(f"grants/{body['ref']}/chain/").json()
    assert [row["ref"] for row in found["grants"]] == [parent.ref, body["ref"]]


def test_what_narrowing_would_end_is_read_before_and_then_ends(desk: Desk) -> None:
    ref = given(desk).json()["ref"]
    assert desk.stage.courier.token(scope="accounts.read").status_code == 200
    before = len(recorded("authorization.grant.narrowed"))
    terms = {"actions": ["payments.create"], "depth": 0}
    preview = desk.post(f"grants/{ref}/impact/", terms)
    assert [len(preview.json()[name]) for name in ("tokens", "requests", "grants_revoked", "kept_by")] == [1, 0, 0, 0]
    assert preview.json()["tokens"][0]["jti"] == AccessToken.objects.get(agent=desk.stage.agent).jti
    assert len(recorded("authorization.grant.narrowed")) == before
    body = desk.post(f"grants/{ref}/narrow/", terms, HTTP_IF_MATCH=preview["ETag"]).json()
    assert (body["actions"], body["depth"], body["budget"]) == (["payments.create"], 0, BUDGET)
    assert AccessToken.objects.get(agent=desk.stage.agent).revoked_at is not None


@pytest.mark.parametrize("way", ["narrow", "impact"])
@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({}, "invalid_grant_terms"),
        ({"actions": []}, "invalid"),
        ({"actions": ["drafts.write"]}, "invalid_grant_terms"),
        ({"detail_types": ["message"]}, "invalid_grant_terms"),
        ({"budget": {}}, "invalid_grant_terms"),
        ({"budget": BUDGET | {"count": 11}}, "invalid_grant_terms"),
        ({"depth": 3}, "invalid_grant_terms"),
        ({"until_at": "2099-01-01T00:00:00Z"}, "invalid_grant_terms"),
        ({"mission": "x"}, "invalid"),
    ],
)
def test_a_grant_never_gets_wider(desk: Desk, way: str, terms: dict[str, Any], code: str) -> None:
    ref = given(desk).json()["ref"]
    assert problem_of(desk.post(f"grants/{ref}/{way}/", terms)) == (400, code)


@pytest.mark.spec("RFC 9110", "13.1.1", "a change is refused where the entity tag is another by now")
def test_who_read_an_older_grant_changes_nothing(desk: Desk) -> None:
    answer = given(desk)
    ref, first = answer.json()["ref"], answer["ETag"]
    assert desk.post(f"grants/{ref}/narrow/", {"depth": 1}, HTTP_IF_MATCH=first).status_code == 200
    for way, body in (("narrow", {"depth": 0}), ("revoke", None)):
        for tag in (first, "", f"W/{first}", "1"):
            stale = desk.post(f"grants/{ref}/{way}/", body, HTTP_IF_MATCH=tag)
            assert problem_of(stale) == (412, "precondition_failed"), (way, tag)
    assert desk.post(f"grants/{ref}/revoke/", HTTP_IF_MATCH="*").status_code == 200
    assert problem_of(desk.post(f"grants/{ref}/narrow/", {"depth": 0})) == (409, "already_decided")


def test_what_taking_back_would_end_is_read_before(desk: Desk) -> None:
    parent = given(desk).json()["ref"]
    child = given(desk, agent=kestrel(desk), parent=parent, depth=0, until_at=DelegationGrant.objects.get(
        ref=parent).until_at.isoformat()).json()["ref"]  # fmt: skip
    assert desk.get(f"grants/{parent}/impact/").json()["grants_revoked"] == [child]
    assert desk.get(f"grants/{parent}/").json()["revoked_at"] is None
    assert desk.post(f"grants/{parent}/revoke/").json()["state"] == "revoked"
    assert desk.get(f"grants/{child}/").json()["state"] == "revoked"


def test_a_chain_is_read_as_metadata(desk: Desk) -> None:
    ref = given(desk).json()["ref"]
    token = desk.stage.courier.token(scope="accounts.read").json()["access_token"]
    row = AccessToken.objects.get(agent=desk.stage.agent)
    answer = desk.get(f"chains/{row.txn}/")
    (hop,) = answer.json()["hops"]
    assert (hop["jti"], hop["grants"], hop["why"], hop["parent"]) == (row.jti, [ref], "", None)
    assert token not in answer.text
    assert desk.get(f"grants/{ref}/chain/").json()["transactions"] == [row.txn]
    desk.post(f"grants/{ref}/revoke/")
    assert desk.get(f"chains/{row.txn}/").json()["hops"][0]["why"] == "grant_revoked"
    assert problem_of(desk.get("chains/txn_none/"))[0] == 404


def test_who_could_do_something_is_read_by_resource_and_action(desk: Desk) -> None:
    ref = given(desk).json()["ref"]
    where = f"grants/who/?resource={desk.stage.pay.ref}"
    assert desk.get(f"{where}&action=accounts.read").json()["items"] == [
        {"agents": [desk.stage.agent.ref], "grants": [ref], "is_open": True}
    ]
    identifier.suspend(desk.stage.agent, reason="odd", by=BY, now=clock.now())
    assert desk.get(f"{where}&action=accounts.read").json()["items"][0]["is_open"] is False
    for query in ("", "&action=fly", "&action=", "&action=accounts.read&action=x", "&action=accounts.read&more=1"):
        assert problem_of(desk.get(where + query)) == (400, "invalid_query"), query
    assert problem_of(desk.get("grants/who/?resource=%00&action=accounts.read"))[0] == 400


@pytest.mark.parametrize("path", ["grants/who/", "chains/txn_x/", "grants/grt_x/impact/", "grants/grt_x/chain/"])
def test_another_scope_reads_nothing_of_it(desk: Desk, path: str) -> None:
    assert problem_of(desk.get(path, token=desk.issue("manage.agents"))) == (403, "insufficient_scope")


def test_a_right_to_manage_is_never_passed_on_here(desk: Desk) -> None:
    api = ensure_management_api(by=BY, now=clock.now())
    DelegationGrant.objects.filter(resource=api).update(depth=1)
    parent = DelegationGrant.objects.get(resource=api)
    body = asked(desk, resource=api.ref, actions=["manage.agents"], detail_types=[], parent=parent.ref, depth=0)
    assert problem_of(desk.post("grants/", body)) == (403, "managed_by_people")
