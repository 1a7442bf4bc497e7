"""CADF (DMTF DSP0262): who did what to what, with which outcome. Pure. What has no place there is an attachment."""

from __future__ import annotations

from typing import Any

from audit.exports.mappings.kinds import ENTITY, is_failure, kind_of

EVENT = "http://schemas.dmtf.org/cloud/audit/1.0/event"
AGENT, PERSON, SYSTEM = "service/security/agent", "data/security/account/user", "service/security"
OUTCOMES = {"ask": "pending", "deny": "failure"}


def event(*, index: int, leaf: str, entry: dict[str, Any], title: str, version: str) -> dict[str, Any]:
    """Return an entry as a CADF event. title: of its type. version: of the product."""
    kind = kind_of(entry["type"])
    failed = is_failure(entry["type"], entry["decision"])
    mapped: dict[str, Any] = {
        "typeURI": EVENT,
        "eventType": "control" if entry["decision"] not in (None, "not_applicable") else "activity",
        "id": entry["id"],
        "eventTime": entry["occurred_at"].replace("Z", "+00:00"),
        "name": title,
        "action": kind.cadf_action,
        "outcome": OUTCOMES.get(entry["decision"], "failure" if failed else "success"),
        "initiator": _party(entry["by"]),
        "target": _target(entry, is_entity=kind.ocsf_class == ENTITY),
        "observer": {"id": "aims-console", "typeURI": SYSTEM, "name": f"AIMS Console {version}"},
        "attachments": [
            {"typeURI": "application/json", "name": "entry", "content": {"index": index, "leaf_hash": leaf, **entry}}
        ],
    }
    if policies := entry["data"].get("policies") or entry["data"].get("determined_by"):
        mapped["reason"] = {"policyId": ",".join(map(str, policies)), "policyType": "urn:cedar:policy"}
    if code := entry["data"].get("code") or entry["data"].get("reason"):
        mapped["reason"] = {**mapped.get("reason", {}), "reasonType": "urn:aims:code", "reasonCode": str(code)}
    if entry["txn"]:
        mapped["tags"] = [f"urn:aims:txn?name=txn&value={entry['txn']}"]
    return mapped


def _target(entry: dict[str, Any], *, is_entity: bool) -> dict[str, Any]:
    if entry["resource"] and not is_entity:
        return {"id": entry["resource"], "typeURI": "service"}
    return _party(entry["agent"] or entry["subject"] or entry["resource"] or entry["by"])


def _party(ref: str) -> dict[str, Any]:
    if "://" in ref:
        return {"id": ref, "typeURI": AGENT}
    return {"id": ref, "typeURI": SYSTEM if ref == "system" else PERSON}
