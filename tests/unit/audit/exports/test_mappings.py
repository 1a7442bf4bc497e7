"""Entries in the words of OCSF, CADF and CEF: every kind has a place, and nothing is lost."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from audit.exports.mappings import cadf, cef, ocsf
from audit.exports.mappings.kinds import API, AUTHENTICATION, AUTHORIZATION, ENTITY, KINDS, REMEDIATION, kind_of
from audit.write import vocabulary

importlib.import_module("aims.urls")  # every room, and so every kind of event
COURIER = "spiffe://example.org/courier"
BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
# What OCSF 1.6 requires of a class besides.
REQUIRED = {
    AUTHENTICATION: {"user", "service"},
    AUTHORIZATION: {"user", "privileges"},
    ENTITY: {"entity"},
    API: {"actor", "api", "src_endpoint"},
    REMEDIATION: {"command_uid"},
}
FAMILIES = sorted({type.rpartition(".")[0] for type in vocabulary()} | {"never.heard"})


def entry(type: str, **said: Any) -> dict[str, Any]:
    moment = {"occurred_at": "2026-11-28T10:00:00.123Z", "recorded_at": "2026-11-28T10:00:00.456Z"}
    names = ("agent", "subject", "resource", "action", "decision", "txn", "posture", "remediation")
    return {"v": 1, "id": "0193", "type": type, "by": "usr_ben", **moment, "data": {}, **dict.fromkeys(names), **said}


def to_ocsf(said: dict[str, Any]) -> dict[str, Any]:
    return ocsf.event(index=7, leaf="ab", entry=said, title="A title", version="1")


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_of_events_has_what_its_class_requires(family: str) -> None:
    for type in [name for name in vocabulary() if name.startswith(family)] or [f"{family}.of"]:
        told = to_ocsf(entry(type, agent=COURIER, resource="https://pay.example/", decision="allow"))
        assert told.keys() >= BASE | REQUIRED[told["class_uid"]], type
        assert told["type_uid"] == told["class_uid"] * 100 + told["activity_id"]
        assert told["category_uid"] == told["class_uid"] // 1000
        assert to_ocsf(entry(type)).keys() >= BASE | REQUIRED[told["class_uid"]], "of nobody and nothing"
        assert cadf.event(index=7, leaf="ab", entry=entry(type), title="t", version="1").keys() >= {
            "typeURI", "eventType", "id", "eventTime", "action", "outcome", "initiator", "target", "observer",
        }  # fmt: skip


def test_nothing_of_an_entry_is_lost_in_ocsf_nor_in_cadf() -> None:
    said = entry(
        "authorization.token.refused", agent=COURIER, subject="usr_ada", resource="https://pay.example/", action="pay",
        decision="deny", txn="txn_1", posture="unknown", remediation="suspended", data={"code": "access_denied", "n": 3},
    )  # fmt: skip
    told = json.dumps(to_ocsf(said))
    values = [str(value) for name, value in said.items() if name not in ("v", "data", "recorded_at")]
    assert [value for value in values if value not in told] == []
    assert to_ocsf(said)["unmapped"]["data"] == said["data"]
    attached = cadf.event(index=7, leaf="ab", entry=said, title="t", version="1")["attachments"][0]["content"]
    assert attached == {"index": 7, "leaf_hash": "ab", **said}


def test_a_refusal_is_a_failure_with_its_decision_and_policy() -> None:
    said = entry(
        "authorization.token.refused", decision="deny", data={"policies": ["p1", "p2"], "code": "access_denied"}
    )
    told = to_ocsf(said)
    assert (told["class_uid"], told["status_id"], told["status_detail"]) == (AUTHENTICATION, 2, "access_denied")
    assert told["actor"]["authorizations"] == [{"decision": "Denied", "policy": {"name": "p1,p2", "is_applied": True}}]
    outcome = cadf.event(index=7, leaf="ab", entry=said, title="t", version="1")
    assert (outcome["outcome"], outcome["reason"]["policyId"]) == ("failure", "p1,p2")


@pytest.mark.parametrize(
    ("type", "ocsf_class", "activity"),
    [
        ("people.session.started", AUTHENTICATION, 1),
        ("authorization.token.issued", AUTHENTICATION, 3),
        ("authorization.grant.given", AUTHORIZATION, 1),
        ("identifier.agent.suspended", ENTITY, 12),
        ("authorization.tokens.ended", REMEDIATION, 2),
        ("authorization.token.used", API, 99),
        ("nobody.knows.this", API, 99),
    ],
)
def test_a_kind_is_found_by_the_longest_beginning(type: str, ocsf_class: int, activity: int) -> None:
    assert kind_of(type)[:2] == (ocsf_class, activity)
    assert to_ocsf(entry(type))["metadata"]["sequence"] == 7


def test_every_beginning_in_the_table_is_one_of_the_vocabulary() -> None:
    known = set(vocabulary())
    assert [name for name in KINDS if name and not any(f"{type}.".startswith(f"{name}.") for type in known)] == []


def test_a_cef_line_is_one_line_whatever_is_in_it() -> None:
    said = entry("a.b.c", resource="https://x/?a=b|c\\d", data={"code": "x=y\nz"})
    line = cef.line(index=7, leaf="ab", entry=said, title="Ti|tle\n", version="1")
    assert "\n" not in line
    assert line.startswith(r"CEF:0|AIMS|Console|1|a.b.c|Ti\|tle |1|externalId=0193 ")
    assert r"request=https://x/?a\=b|c\\d" in line
    assert r"reason=x\=y\nz" in line
