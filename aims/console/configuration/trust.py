"""The section about authorization servers of other domains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aims.authorization.models import ForeignServer
from aims.authorization.services.trust import TrustServer, retire_server
from aims.console.configuration.change import Applying, Change
from aims.console.registering import Keys
from aims.console.trusting import agent_called, person_called, trust_with_keys


def apply_trusted_server(item: dict[str, Any], ctx: Applying) -> Iterator[Change]:
    """Trust a server, change how far, or retire it."""
    row = ForeignServer.objects.filter(issuer=item["issuer"]).first()
    if row is None or row.retired_at is None:
        keys = Keys(jwks=item.get("jwks"), jwks_uri=item.get("jwks_uri"))
        server, changed = trust_with_keys(_command(item, row), keys=keys, by=ctx.by, now=ctx.now)
        if row is None:
            yield Change(sign="+", kind="trusted server", name=server.issuer)
        elif changed:
            yield Change(sign="~", kind="trusted server", name=server.issuer, what=", ".join(changed))
        row = server
    if item.get("state") == "retired" and row.retired_at is None:
        retire_server(row, by=ctx.by, now=ctx.now)
        yield Change(sign="-", kind="trusted server", name=row.issuer, what="retired")


def _command(item: dict[str, Any], held: ForeignServer | None) -> TrustServer:
    """Return what the file says; what it does not say stays as it is."""
    row = held or ForeignServer(issuer=item["issuer"])
    subjects, clients = item.get("subjects"), item.get("clients")
    return TrustServer(
        issuer=item["issuer"],
        name=item["name"],
        subjects=None if subjects is None else {each["subject"]: person_called(each["person"]) for each in subjects},
        clients=None if clients is None else {each["client_id"]: agent_called(each["agent"]) for each in clients},
        accepts=tuple(item.get("accepts", row.accepts)),
        receives=tuple(item.get("receives", row.receives)),
        scopes=tuple(item.get("scopes", row.scopes)),
        matches_email=item.get("matches_email", row.matches_email),
        tells_email=item.get("tells_email", row.tells_email),
    )
