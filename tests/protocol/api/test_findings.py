"""Findings in the management API."""

from __future__ import annotations

import pytest

from aims.kit import clock
from aims.observability.models import Finding
from tests.protocol.api.conftest import Desk, problem_of, recorded

pytestmark = pytest.mark.django_db


def test_findings_are_listed_taken_up_and_closed(desk: Desk) -> None:
    now = clock.now()
    found = Finding.objects.create(
        rule="replay", version=1, severity="high", key="k", first_index=1, last_index=7, evidence=[1, 7], opened_at=now,
        seen_at=now,
    )  # fmt: skip
    listed = desk.get("findings/?state=open&severity=high&rule=replay").json()
    assert [row["ref"] for row in listed["items"]] == [found.ref] and listed["next"] is None
    assert desk.get("findings/?before=7").json()["items"] == []
    for query in ("state=lost", "colour=red", "state=open&state=closed", "before=x", "rule=none"):
        assert problem_of(desk.get(f"findings/?{query}")) == (400, "invalid"), query
    assert desk.get(f"findings/{found.ref}/").json()["evidence"] == [1, 7]
    assert problem_of(desk.get("findings/fnd_none/"))[0] == 404
    reader = desk.issue("read.audit")
    assert desk.get("findings/", token=reader).status_code == 200
    assert problem_of(desk.post(f"findings/{found.ref}/acknowledge/", token=reader))[0] == 403
    assert desk.post(f"findings/{found.ref}/acknowledge/").json()["state"] == "acknowledged"
    assert problem_of(desk.post(f"findings/{found.ref}/acknowledge/")) == (409, "finding_moved")
    for body in ({}, {"reason": "because"}, {"reason": "mended", "note": "x"}):
        assert problem_of(desk.post(f"findings/{found.ref}/close/", body)) == (400, "invalid"), body
    closed = desk.post(f"findings/{found.ref}/close/", {"reason": "expected"}).json()
    assert (closed["state"], closed["reason"]) == ("closed", "expected")
    (entry,) = recorded("observability.finding.closed")
    assert entry["by"] == desk.steward.client_id
