"""OCSF 1.6: Authentication, Authorize Session, Entity Management, API Activity, Remediation Activity. Pure.

What the schema has no place for stands in ``unmapped``: the event's own members, the posture, the leaf hash. OCSF has no
object for an agent in a released version, so it is a user of type 99 (other) with the whole identifier.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from audit.exports.mappings.kinds import API, AUTHENTICATION, AUTHORIZATION, ENTITY, REMEDIATION, is_failure, kind_of

VERSION = "1.6.0"
INFORMATIONAL, LOW = 1, 2
SUCCESS, FAILURE = 1, 2
USER, SYSTEM, OTHER = 1, 3, 99
DECISIONS = {"allow": "Allowed", "approve": "Allowed", "deny": "Denied", "ask": "Pending"}


def event(*, index: int, leaf: str, entry: dict[str, Any], title: str, version: str) -> dict[str, Any]:
    """Return an entry as an OCSF event. title: of its type. version: of the product."""
    kind, failed = kind_of(entry["type"]), is_failure(entry["type"], entry["decision"])
    mapped: dict[str, Any] = {
        "category_uid": kind.ocsf_class // 1000,
        "class_uid": kind.ocsf_class,
        "activity_id": kind.activity,
        "type_uid": kind.ocsf_class * 100 + kind.activity,
        "severity_id": LOW if failed else INFORMATIONAL,
        "status_id": FAILURE if failed else SUCCESS,
        "time": _ms(entry["occurred_at"]),
        "message": title,
        "metadata": {
            "version": VERSION,
            "product": {"name": "AIMS Console", "vendor_name": "AIMS", "version": version},
            "uid": entry["id"],
            "event_code": entry["type"],
            "original_time": entry["occurred_at"],
            "logged_time": _ms(entry["recorded_at"]),
            "sequence": index,
        },
        "unmapped": {
            "leaf_hash": leaf,
            "data": entry["data"],
            **{name: entry[name] for name in ("posture", "remediation", "agent", "subject", "resource", "decision", "action") if entry[name] is not None},
            "by": entry["by"],
        },
    }  # fmt: skip
    if entry["txn"]:
        mapped["metadata"]["correlation_uid"] = entry["txn"]
    if reason := entry["data"].get("code") or entry["data"].get("reason"):
        mapped["status_detail"] = str(reason)
    mapped |= _OWN[kind.ocsf_class](entry)
    return mapped


def _authentication(entry: dict[str, Any]) -> dict[str, Any]:
    return {"actor": _actor(entry), "user": _user(entry), "service": {"name": entry["resource"] or "AIMS Console"}}


def _authorize_session(entry: dict[str, Any]) -> dict[str, Any]:
    named = entry["data"].get("actions") or [entry["action"] or entry["data"].get("role") or entry["type"]]
    return {"actor": _actor(entry), "user": _user(entry), "privileges": [str(name) for name in named]}


def _entity(entry: dict[str, Any]) -> dict[str, Any]:
    family = entry["type"].split(".")[1]
    uid = entry["data"].get(family) or entry["agent"] or entry["resource"] or entry["subject"] or entry["type"]
    return {"actor": _actor(entry), "entity": {"uid": str(uid), "type": family, "type_id": OTHER}}


def _api(entry: dict[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {
        "actor": _actor(entry),
        "api": {"operation": entry["action"] or entry["type"]},
        "src_endpoint": {"uid": entry["agent"] or entry["by"]},
    }
    return own | ({"resources": [{"uid": entry["resource"]}]} if entry["resource"] else {})


def _remediation(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "actor": _actor(entry),
        "command_uid": entry["id"],
        "remediation": {"desc": entry["remediation"] or entry["type"]},
    }


_OWN = {
    AUTHENTICATION: _authentication,
    AUTHORIZATION: _authorize_session,
    ENTITY: _entity,
    API: _api,
    REMEDIATION: _remediation,
}


def _actor(entry: dict[str, Any]) -> dict[str, Any]:
    """Return who did it, with the decision on it where there was one."""
    by = entry["by"]
    actor: dict[str, Any] = {"user": {"uid": by, "type_id": _type_of(by)}}
    if entry["decision"] in DECISIONS:
        policies = entry["data"].get("policies") or entry["data"].get("determined_by") or []
        policy = {"policy": {"name": ",".join(map(str, policies)), "is_applied": True}} if policies else {}
        actor["authorizations"] = [{"decision": DECISIONS[entry["decision"]], **policy}]
    return actor


def _user(entry: dict[str, Any]) -> dict[str, Any]:
    """Return whom it is about: the agent, else the person, else whoever did it."""
    uid = entry["agent"] or entry["subject"] or entry["by"]
    return {"uid": uid, "type_id": _type_of(uid)}


def _type_of(ref: str) -> int:
    if "://" in ref:
        return OTHER
    return SYSTEM if ref == "system" else USER


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
