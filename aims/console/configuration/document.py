"""A configuration file, read: YAML with unique keys, checked against a schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aims.authorization.models import KEY_METHODS, TLS_NAMES
from aims.authorization.services.clients import AUTH_METHOD, TLS_BOUND, TLS_CLIENT_AUTH, TLS_VALUE_MAX
from aims.kit.errors import AimsError

FILE_MAX_BYTES = 1024 * 1024
SECTIONS = (
    "trust_domains",
    "people",
    "groups",
    "trust_rules",
    "resources",
    "agents",
    "trusted_servers",
    "grants",
    "policies",
)


class ConfigurationRefused(AimsError):
    """The file can't be applied. Nothing of it was."""

    code = "configuration_refused"


def _text(most: int, *, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most}


def _list(of: Mapping[str, Any], *, most: int = 2000) -> dict[str, Any]:
    return {"type": "array", "items": of, "maxItems": most}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "additionalProperties": False, "properties": properties}


# OpenID CIBA Core 1.0 §4: how a client takes delivery, under the names of its registration.
MODE = "backchannel_token_delivery_mode"
ENDPOINT = "backchannel_client_notification_endpoint"
SIGNING_ALG = "backchannel_authentication_request_signing_alg"
DPOP_BOUND = "dpop_bound_access_tokens"  # RFC 9449 §5.2
REDIRECTS = "redirect_uris"  # RFC 7591 §2
BUNDLE, BUNDLE_URL = "bundle", "bundle_endpoint_url"  # SPIFFE Trust Domain and Bundle §4; Federation §5.1

_SLUG = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}
_EMAIL = {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$", "maxLength": 254}
_ROLES = {"enum": ["approver", "owner", "admin", "auditor"]}
_JWKS = {"type": "object", "required": ["keys"]}
_KEYS = {"jwks": _JWKS, "jwks_uri": _text(2048)}
_MOMENT = {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$"}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
_BUDGET = _object(
    (),
    count=_COUNT,
    per_hour=_COUNT,
    per_day=_COUNT,
    amounts={"type": "object", "maxProperties": 16, "additionalProperties": _text(20)},
)
_PROFILE = {"enum": ["chaining", "id-jag"]}
_ACTION = _object(
    ("name", "title", "reversibility"),
    name=_text(80),
    title=_text(120),
    reversibility={"enum": ["read-only", "reversible", "externally-reversible", "irreversible"]},
    detail_type=_text(120, least=0),
)
SCHEMA: dict[str, Any] = _object(
    (),
    trust_domains=_list(
        _object(
            ("name",),
            name=_text(255),
            state={"enum": ["active", "retired"]},
            **{BUNDLE: {"type": "object", "required": ["keys"]}, BUNDLE_URL: _text(2048, least=0)},
        )
    ),
    people=_list(_object(("email", "name"), email=_EMAIL, name=_text(120), roles=_list(_ROLES))),
    groups=_list(_object(("slug", "name"), slug=_SLUG, name=_text(120), members=_list(_EMAIL))),
    resources=_list(
        _object(
            ("identifier", "name"),
            identifier=_text(2048),
            name=_text(80),
            kind={"enum": ["api", "tool", "mcp", "llm"]},
            description=_text(400, least=0),
            operator=_text(2048, least=0),
            actions=_list(_ACTION, most=200),
            state={"enum": ["active", "retired"]},
            **_KEYS,
        )
    ),
    agents=_list(
        _object(
            ("identifier", "name", "purpose", "contact", "owner"),
            identifier=_text(2048),
            name=_text(80),
            purpose=_text(400),
            contact=_text(254),
            owner=_EMAIL,
            groups=_list(_SLUG),
            state={"enum": ["active", "suspended", "retired"]},
            reason=_text(400),
            **_KEYS,
            **{MODE: {"enum": ["poll", "ping"]}, ENDPOINT: _text(2048, least=0), SIGNING_ALG: _text(16, least=0)},
            **{REDIRECTS: _list(_text(2048), most=10)},
            **{DPOP_BOUND: {"type": "boolean"}, TLS_BOUND: {"type": "boolean"}},
            **{AUTH_METHOD: {"enum": [*KEY_METHODS]}},
            **{f"{TLS_CLIENT_AUTH}_{name}": _text(TLS_VALUE_MAX, least=0) for name in TLS_NAMES},
        )
    ),
    trusted_servers=_list(
        _object(
            ("issuer", "name"),
            issuer=_text(2048),
            name=_text(80),
            accepts=_list(_PROFILE, most=2),
            receives=_list(_PROFILE, most=2),
            scopes=_list(_text(255), most=50),
            subjects=_list(_object(("subject", "person"), subject=_text(255), person=_EMAIL)),
            clients=_list(_object(("client_id", "agent"), client_id=_text(255), agent=_text(2048))),
            matches_email={"type": "boolean"},
            tells_email={"type": "boolean"},
            state={"enum": ["active", "retired"]},
            **_KEYS,
        )
    ),
    grants=_list(
        _object(
            ("agent", "resource", "until"),
            from_person=_EMAIL,
            agent=_text(2048),
            resource=_text(2048),
            actions=_list(_text(80)),
            detail_types=_list(_text(120)),
            mission=_text(400, least=0),
            starts=_MOMENT,
            until=_MOMENT,
            budget=_BUDGET,
            depth={"type": "integer", "minimum": 0, "maximum": 4},
            state={"enum": ["active", "revoked"]},
        )
    ),
    trust_rules=_list(
        _object(
            ("kind", "value", "owner"),
            kind={"enum": ["document_host", "redirect_host", "software_id"]},
            value=_text(255),
            owner=_EMAIL,
            state={"enum": ["active", "ended"]},
        )
    ),
    policies=_list(_object(("name", "text"), name=_text(80), text=_text(256 * 1024)), most=1),
)
_VALIDATOR = Draft202012Validator(SCHEMA)


def read(raw: bytes) -> dict[str, list[dict[str, Any]]]:
    """Return the sections of a configuration file. Raises ConfigurationRefused, naming the place."""
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigurationRefused("The file is larger than 1 MiB.")
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = False
    # Moments stay the text that was written; YAML's own would come in any zone, or none.
    yaml.constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: str(node.value))
    try:
        document = yaml.load(raw.decode()) or {}
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationRefused(f"The file is not YAML with unique keys: {_first_line(error)}") from error
    errors = sorted(_VALIDATOR.iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        place = "/".join(map(str, errors[0].absolute_path)) or "the file"
        raise ConfigurationRefused(f"{place}: {errors[0].message[:300]}")
    _check_keys(document)
    return document


def _check_keys(document: dict[str, Any]) -> None:
    for section, name in (("agents", "identifier"), ("resources", "identifier"), ("trusted_servers", "issuer")):
        for item in document.get(section, []):
            if "jwks" in item and "jwks_uri" in item:
                raise ConfigurationRefused(f"{section}/{item[name]}: give jwks or jwks_uri, not both.")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
