"""Plan and apply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from joserfc.jwk import ECKey

from aims.authorization.models import Application, DelegationGrant
from aims.console.configuration.change import Applying
from aims.console.configuration.document import SCHEMA, ConfigurationRefused, read
from aims.console.configuration.run import apply, plan
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.models import User
from aims.policy.models import PolicyVersion
from aims.policy.services import DEFAULT_POLICY
from audit.models import InboxRow

pytestmark = pytest.mark.django_db
KEYS = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}


def a_file(**changes: Any) -> bytes:
    until = clock.now().replace(year=clock.now().year + 1, month=1).strftime("%Y-%m-%dT00:00:00Z")
    document: dict[str, Any] = {
        "trust_domains": [{"name": "acme.example"}],
        "people": [{"email": "ada@acme.example", "name": "Ada", "roles": ["approver", "owner"]}],
        "groups": [{"slug": "finance", "name": "Finance", "members": ["ada@acme.example"]}],
        "resources": [
            {
                "identifier": "https://pay.example/",
                "name": "Payments",
                "actions": [{"name": "pay", "title": "Pay", "reversibility": "irreversible"}],
            }
        ],
        "agents": [
            {
                "identifier": "spiffe://acme.example/agent/courier",
                "name": "Courier",
                "purpose": "Pays bills",
                "contact": "ops@acme.example",
                "owner": "ada@acme.example",
                "groups": ["finance"],
                "jwks": KEYS,
            }
        ],
        "grants": [
            {
                "from_person": "ada@acme.example",
                "agent": "spiffe://acme.example/agent/courier",
                "resource": "https://pay.example/",
                "actions": ["pay"],
                "until": until,
            }
        ],
        "policies": [{"name": "default", "text": DEFAULT_POLICY.read_text()}],
    }
    return json.dumps(document | changes).encode()


def ctx() -> Applying:
    return Applying(by="cli:test", now=clock.now())


def test_a_file_makes_everything_it_names() -> None:
    apply(a_file(), ctx())
    assert Agent.objects.get().owner.email == "ada@acme.example"
    assert DelegationGrant.objects.get().actions == ["pay"]
    assert PolicyVersion.objects.get().is_active


def test_the_same_file_twice_changes_nothing_and_writes_no_entry() -> None:
    apply(a_file(), ctx())
    entries = InboxRow.objects.count()
    assert apply(a_file(), ctx()) == []
    assert InboxRow.objects.count() == entries


def test_a_plan_changes_nothing() -> None:
    assert [change.kind for change in plan(a_file(), ctx())].count("agent") == 1
    assert not Agent.objects.exists() and not InboxRow.objects.exists()


def test_what_is_not_in_the_file_stays() -> None:
    apply(a_file(), ctx())
    assert apply(b"agents: []\n", ctx()) == []
    assert Agent.objects.get().state == "active" and Resource.objects.get().retired_at is None


def test_a_file_that_fails_at_its_end_leaves_nothing() -> None:
    with pytest.raises(AimsError):
        apply(a_file(policies=[{"name": "default", "text": "permit"}]), ctx())
    assert not User.objects.exists() and not InboxRow.objects.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"agents: []\nagents: []\n",
        b"secrets: []\n",
        b"- 1\n",
        b"\xff",
        b"a: &a [*a, *a]\n",
        b"people: [{email: x, name: X}]\n",
        b"agents: [{identifier: 'spiffe://a/b'}]\n",
        b"people: !!python/object/apply:os.system [id]\n",
    ],
)
def test_a_file_that_is_not_as_described_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigurationRefused):
        read(raw)


def a_grant(**changes: Any) -> bytes:
    item = json.loads(a_file())["grants"][0]
    return json.dumps({"grants": [item | changes]}).encode()


def test_a_grant_has_all_its_terms_and_the_same_ones_change_nothing() -> None:
    apply(a_file(grants=[]), ctx())
    until = json.loads(a_file())["grants"][0]["until"]
    bounded = a_grant(
        budget={"count": 3, "amounts": {"JPY": "5000", "EUR": "10.00"}},
        depth=2,
        starts=f"{int(until[:4]) - 1}-12-31T00:00:00Z",
    )
    assert [change.sign for change in apply(bounded, ctx())] == ["+"]
    grant = DelegationGrant.objects.get()
    assert grant.budget == {"count": 3, "amounts": {"EUR": "10.00", "JPY": "5000"}}
    assert grant.depth == 2 and grant.starts_at is not None and grant.starts_at < grant.until_at
    assert apply(bounded, ctx()) == []
    assert [change.sign for change in apply(a_grant(budget={"amounts": {}}), ctx())] == ["+"]
    assert apply(a_grant(budget={}), ctx()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"budget": {"count": 0}},
        {"budget": {"count": "3"}},
        {"budget": {"times": 3}},
        {"budget": {"amounts": {"EUR": 10}}},
        {"budget": {"amounts": {"EUR": "10.001"}}},
        {"budget": {"amounts": {"QQQ": "10"}}},
        {"depth": 5},
        {"depth": -1},
        {"starts": "soon"},
    ],
)
def test_terms_that_can_not_be_are_refused(change: dict[str, Any]) -> None:
    apply(a_file(grants=[]), ctx())
    with pytest.raises(ConfigurationRefused):
        apply(a_grant(**change), ctx())
    assert not DelegationGrant.objects.exists()


def test_a_retired_agent_stays_retired_and_its_identifier_taken() -> None:
    apply(a_file(), ctx())
    item = json.loads(a_file())["agents"][0]
    apply(json.dumps({"agents": [item | {"state": "retired"}]}).encode(), ctx())
    with pytest.raises(AimsError):
        apply(json.dumps({"agents": [item | {"state": "active"}]}).encode(), ctx())
    assert Agent.objects.get().state == "retired"
    assert not DelegationGrant.objects.filter(revoked_at=None).exists()


def test_a_policy_that_asks_for_two_signatures_is_refused() -> None:
    text = '@id("a") @ask("subject") @quorum("2") permit (principal, action, resource);'
    with pytest.raises(AimsError, match="quorum"):
        apply(json.dumps({"policies": [{"name": "x", "text": text}]}).encode(), ctx())


def test_the_command_exits_2_where_there_is_a_difference(tmp_path: Any) -> None:
    path = tmp_path / "aims.yaml"
    path.write_bytes(a_file())
    with pytest.raises(SystemExit) as left:
        call_command("plan", path)
    assert left.value.code == 2
    call_command("apply", path)
    call_command("plan", path)
    path.write_bytes(b"nonsense: 1")
    with pytest.raises(CommandError):
        call_command("apply", path)


PING = {
    "backchannel_token_delivery_mode": "ping",
    "backchannel_client_notification_endpoint": "https://courier.example/ping",
}


def an_agent(**changes: Any) -> bytes:
    item = json.loads(a_file())["agents"][0]
    return json.dumps({"agents": [item | changes]}).encode()


def test_an_agent_that_is_applied_is_a_client_that_polls() -> None:
    apply(a_file(), ctx())
    client = Application.objects.get(agent=Agent.objects.get())
    assert (client.client_id, client.backchannel_token_delivery_mode) == ("spiffe://acme.example/agent/courier", "poll")
    assert client.client_secret == ""


def test_ping_is_set_by_a_file_planned_first_and_written_once() -> None:
    apply(a_file(), ctx())
    assert [str(change) for change in plan(an_agent(**PING), ctx())] == [
        "~ agent spiffe://acme.example/agent/courier: delivery by ping"
    ]
    apply(an_agent(**PING), ctx())
    client = Application.objects.get()
    assert client.backchannel_client_notification_endpoint == "https://courier.example/ping"
    entries = InboxRow.objects.count()
    assert apply(an_agent(**PING), ctx()) == [] == apply(an_agent(), ctx())
    assert InboxRow.objects.count() == entries
    assert apply(an_agent(backchannel_token_delivery_mode="poll"), ctx())
    client.refresh_from_db()
    assert client.backchannel_client_notification_endpoint == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"backchannel_token_delivery_mode": "push"},
        {"backchannel_token_delivery_mode": "ping"},
        {"backchannel_client_notification_endpoint": "https://courier.example/ping"},
        PING | {"backchannel_client_notification_endpoint": "http://courier.example/ping"},
        {"backchannel_authentication_request_signing_alg": "none"},
    ],
)
def test_a_delivery_that_can_not_work_is_refused_and_nothing_is_made(wrong: dict[str, str]) -> None:
    document = json.loads(a_file())
    document["agents"][0] |= wrong
    with pytest.raises(AimsError):
        apply(json.dumps(document).encode(), ctx())
    assert not Agent.objects.exists() and not InboxRow.objects.exists()


def test_a_plan_names_what_changes_about_an_agent() -> None:
    apply(a_file(), ctx())
    changes = plan(an_agent(contact="new@acme.example", groups=[], jwks={"keys": []}), ctx())
    assert [change.what for change in changes] == ["contact, related_groups, keys"]


def test_every_word_of_the_file_is_documented() -> None:
    text = Path(settings.BASE_DIR, "docs/apply.md").read_text()
    assert [word for word in _words(SCHEMA) if f"`{word}`" not in text] == []


def _words(schema: dict[str, Any]) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from _words(inner)
    yield from _words(schema["items"]) if "items" in schema else ()
