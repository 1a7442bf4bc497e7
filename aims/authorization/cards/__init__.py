"""Cards: what a person reads before a decision. Rendered from the statement's bytes and from nothing else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from aims.authorization.cards import shape
from aims.authorization.cards.money import words_of
from aims.authorization.cards.shape import ShapeRefused as ShapeRefused
from aims.authorization.cards.shape import Template
from aims.authorization.cards.templates import SCOPE, template_for
from aims.authorization.statement import Statement, TemplateRef, parse
from aims.kit.ids import tagged_hash
from audit.canonical import encode

HEADLINE_MAX = 300
HARDNESS = ("read-only", "reversible", "externally-reversible", "irreversible")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_PLACE = re.compile(r"\{([A-Za-z.]+)\}")


@dataclass(frozen=True)
class Row:
    """One label and its value. kind: how the page sets it (text, money, iban, raw …); sub: a smaller second line."""

    label: str
    value: str
    sub: str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Card:
    """What is shown above the seal. said: the agent's own words, fenced; pairs(): what the rendering hash covers."""

    headline: str
    subtitle: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...]
    said: str
    template: TemplateRef
    statement: Statement

    def pairs(self) -> list[list[str]]:
        """Return the ordered label–value pairs shown: [label, value, sub]."""
        shown = [["headline", self.headline, self.subtitle]]
        shown += [["tag", tag, ""] for tag in self.tags]
        shown += [[row.label, row.value, row.sub] for row in self.rows]
        return [*shown, ["said", self.said, ""]]


def check(detail: Mapping[str, Any]) -> None:
    """Raise ShapeRefused where an ``authorization_details`` object breaks the shape of its type. Spec: RFC 9396 §5."""
    detail_type = detail.get("type")
    if not isinstance(detail_type, str) or not 1 <= len(detail_type) <= 120:
        raise ShapeRefused("type", "must be text of 1 to 120 characters")
    shape.check(template_for(detail_type), detail)


def template_ref(details: Sequence[Mapping[str, Any]]) -> TemplateRef:
    """Return the template that renders these details; several details have one that binds each of theirs."""
    used = [template_for(detail["type"]) for detail in details] or [SCOPE]
    if len(used) == 1:
        return TemplateRef(id=used[0].id, version=used[0].version, hash=_hash([used[0]]))
    return TemplateRef(id="several", version=1, hash=_hash(used))


def is_typed(detail_type: str) -> bool:
    """Return whether we have words for this type; what we have none for is one class harder."""
    return template_for(detail_type).is_typed


def headline_of(statement: Statement) -> str:
    """Return one sentence: verb, object, counterpart. From typed data, never from the agent's own words."""
    resource, titles = statement.facts["resource"]["name"], [action["title"] for action in statement.facts["actions"]]
    if not statement.authorization_details:
        return _fill(SCOPE, {}, resource=resource, titles=titles)
    lines = [sentence_of(detail, resource=resource) for detail in statement.authorization_details]
    if bare := _without_details(statement):
        lines.append(_fill(SCOPE, {}, resource=resource, titles=bare))
    return lines[0] if len(lines) == 1 else f"{len(lines)} actions: " + "; ".join(lines)


def sentence_of(detail: Mapping[str, Any], *, resource: str) -> str:
    """Return one sentence about one checked object. resource: its name."""
    return _fill(template_for(detail["type"]), detail, resource=resource, titles=())


def rows_of(detail: Mapping[str, Any], *, resource: str) -> tuple[Row, ...]:
    """Return every row of one checked object, as a card has them. resource: its identifier, which the page shows."""
    return tuple(_detail_rows(detail, shown_below=frozenset({("locations", resource)})))


def card(raw: bytes) -> Card:
    """Return the card of a statement's bytes R. Raises StatementRefused for other bytes."""
    statement = parse(raw)
    return Card(
        headline=headline_of(statement),
        subtitle=f"{statement.facts['agent']['name']} for {statement.facts['subject']['name']}",
        rows=tuple(_rows(statement)),
        tags=tuple(_tags(statement)),
        said=statement.agent_says or "",
        template=statement.template,
        statement=statement,
    )


def rendering_hash(shown: Card, *, locale: str) -> str:
    """Return the hash of what was shown, in which language: over canonical JSON of the pairs, not over HTML."""
    return tagged_hash(
        encode(
            {
                "typ": "agent-approval-rendering",
                "v": 1,
                "locale": locale,
                "pairs": shown.pairs(),
            }
        )
    )


def _hash(templates: Sequence[Template]) -> str:
    definitions = [
        asdict(template) | {"fields": [_field(field) for field in template.fields]} for template in templates
    ]
    return tagged_hash(encode({"typ": "agent-approval-template", "v": 1, "templates": definitions}))


def _field(field: shape.Field) -> dict[str, Any]:
    return {
        "label": field.label,
        "path": list(field.path),
        "kind": field.kind,
        "is_required": field.is_required,
    }


def _fill(template: Template, detail: Mapping[str, Any], *, resource: str, titles: Sequence[str]) -> str:
    known = {field.name: shape.shown(field, value) for field, value in _present(template, detail)}
    known |= {"type": str(detail.get("type", "")), "resource": resource, "actions": ", ".join(titles)}
    return _PLACE.sub(lambda place: known.get(place[1], ""), template.headline)


def _without_details(statement: Statement) -> list[str]:
    """Return the titles of what scope alone asks for, where that is more than reading."""
    words = set(statement.scope.split())
    named = (action for action in statement.facts["actions"] if action["name"] in words)
    return [action["title"] for action in named if action["reversibility"] != HARDNESS[0]]


def _tags(statement: Statement) -> Iterator[str]:
    yield statement.reversibility
    for detail in statement.authorization_details:
        yield template_for(detail["type"]).tag


def _rows(statement: Statement) -> Iterator[Row]:
    count = len(statement.authorization_details)
    for number, detail in enumerate(statement.authorization_details, start=1):
        prefix = f"{number}. " if count > 1 else ""
        rows = _detail_rows(detail, shown_below=_shown_below(statement) if count == 1 else frozenset())
        yield from (Row(prefix + row.label, row.value, row.sub, row.kind) for row in rows)
    yield Row("At", statement.facts["resource"]["name"], statement.resource, "resource")
    for action in statement.facts["actions"]:
        yield Row(
            "Action",
            action["title"],
            f"{action['name']} · {action['reversibility']}",
            "action",
        )
    if bare := _without_details(statement):
        yield Row("Details", "none given", f"{', '.join(bare)}: in whatever way the agent chooses", "bare")
    yield Row("Agent", statement.facts["agent"]["name"], statement.client_id, "agent")
    yield Row("On behalf of", statement.facts["subject"]["name"], statement.sub, "person")
    yield Row("Scope", statement.scope, kind="mono")
    if statement.binding_message is not None:
        yield Row("Reference code", statement.binding_message, kind="binding")
    yield from _snapshot_rows(statement)


def _snapshot_rows(statement: Statement) -> Iterator[Row]:
    facts = statement.facts
    yield Row("Agent's purpose", facts["agent"]["purpose"])
    yield Row("Posture", facts["posture"]["state"], kind="posture")
    history = facts["history"]
    yield Row(
        "So far",
        f"{history['approved']} approved, {history['denied']} denied in the last {history['days']} days",
    )
    if facts["mission"]:
        yield Row("Mission", facts["mission"])
    if "grant" in facts:
        yield from _grant_rows(facts["grant"])
    assert statement.max_uses == 1, "a statement of several uses is never built"
    yield Row("Can be used", f"once, within {_span(statement.use_within_s)}", kind="seal")


def _grant_rows(grant: Mapping[str, Any]) -> Iterator[Row]:
    """Say what grant comes with the yes. grant: until (NumericDate), budget."""
    until = datetime.fromtimestamp(grant["until"], UTC)
    yield Row("It may ask for this until", f"{until:%Y-%m-%d %H:%M} UTC", "the grant that you give with your yes")
    yield Row("At most", words_of(grant["budget"]) or "as often as policy lets it")


def _span(seconds: int) -> str:
    """Return a duration exactly, in the largest unit that divides it."""
    for unit_s, unit in ((3600, "hour"), (60, "minute")):
        if seconds % unit_s == 0:
            count = seconds // unit_s
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"


def _shown_below(statement: Statement) -> frozenset[tuple[str, str]]:
    """Return the common members (RFC 9396 §2.2) that rows and tags of the card show anyway, each with its value."""
    actions = {("actions", action["name"]) for action in statement.facts["actions"]}
    typed = {("type", detail["type"]) for detail in statement.authorization_details if is_typed(detail["type"])}
    return frozenset(actions | typed | {("locations", statement.resource)})


def _detail_rows(detail: Mapping[str, Any], *, shown_below: frozenset[tuple[str, str]]) -> Iterator[Row]:
    template = template_for(detail["type"])
    covered: set[tuple[str | int, ...]] = set()
    for field, value in _present(template, detail):
        yield Row(field.label, shape.shown(field, value), kind=field.kind)
        covered.update(shape.covers(field))
    # The whole payload is on the card: what no field shows is shown raw, under its own path.
    for path, leaf in _leaves(detail):
        is_shown = any(path[: len(seen)] == seen for seen in covered)
        if not is_shown and not (isinstance(leaf, str) and (path[0], leaf) in shown_below):
            yield Row(_spelt(path), encode(leaf).decode(), kind="raw")


def _present(template: Template, detail: Mapping[str, Any]) -> Iterator[tuple[shape.Field, Any]]:
    for field in template.fields:
        if (value := shape.member(detail, field)) is not None:
            yield field, value


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path, value


def _spelt(path: tuple[str | int, ...]) -> str:
    """Return a path as text; a member's name that is no plain word is quoted, so that no two paths look the same."""
    spelt = ""
    for name in path:
        if isinstance(name, int):
            spelt += f"[{name}]"
        else:
            spelt += "." + (name if _PLAIN_NAME.fullmatch(name) else encode(name).decode())
    return spelt.removeprefix(".")
