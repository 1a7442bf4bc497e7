"""Who authenticated, by whichever method; and why somebody who did is refused all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from aims.authentication.bound import Bound
from aims.authentication.dpop import KeyProof
from aims.authentication.errors import InvalidClient
from aims.authentication.replay import Proof
from aims.identifier.models import Agent, AgentState, Resource

PRIVATE_KEY_JWT = "private_key_jwt"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """By which method an agent proves who it is. tls_name, tls_value: what of its certificate is compared (RFC 8705 §2.1.2)."""

    method: str = PRIVATE_KEY_JWT
    tls_name: str = ""
    tls_value: str = ""


# Asks what an agent registered. The second says whether it may answer from this process's memory.
Registrations = Callable[[Agent, bool], Registered]


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who authenticated: an agent or a resource server, never both, and the proof that is still to be spent.

    key: proved by DPoP, None where the request has no such proof. x5t_s256: SHA-256 of its certificate (base64url), where
    what is issued will be bound to that, else empty.
    is_recalled: from this process's memory. Such a client may be granted something by a write that depends on
    ``agent.version``, and is never refused anything: whoever would refuse authenticates again, from the database.
    """

    identifier: str
    ref: str
    agent: Agent | None
    resource: Resource | None
    proof: Proof
    is_recalled: bool = False
    key: KeyProof | None = None
    x5t_s256: str = ""

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """All that must be spent with this request: its own proof first, then that of its key."""
        return (self.proof, self.key.proof) if self.key else (self.proof,)

    @property
    def jkt(self) -> str:
        """The thumbprint of the key that what is issued will be bound to; empty where there is none."""
        return self.key.jkt if self.key else ""

    @property
    def binding(self) -> str:
        """How what is issued will be bound, as the policy may ask."""
        return self.bound.binding

    @property
    def bound(self) -> Bound:
        """What that which is issued will be bound to."""
        return Bound(jkt=self.jkt, x5t_s256=self.x5t_s256)


class KnownClientRefused(InvalidClient):
    """It proved who it is and is refused all the same. Its proof is spent with the record of the refusal."""

    def __init__(self, client: Client, public: str, *, reason: str) -> None:
        self.client = client
        super().__init__(public, reason=reason, agent=client.identifier)


class AgentNotUsable(KnownClientRefused):
    """The agent is suspended or retired."""

    def __init__(self, client: Client) -> None:
        assert client.agent is not None
        state = client.agent.state
        super().__init__(client, _("The client is %(state)s.") % {"state": state}, reason=f"agent_{state}")


class MethodNotRegistered(KnownClientRefused):
    """The agent registered another method: a second way in would be a second thing to steal. Spec: RFC 7591 §2."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, _("The client has registered another authentication method."), reason="method")


def client_of(holder: Agent | Resource, proof: Proof, *, is_recalled: bool = False, x5t_s256: str = "") -> Client:
    """Return the client that a proof speaks for."""
    return Client(
        identifier=holder.identifier,
        ref=holder.ref,
        agent=holder if isinstance(holder, Agent) else None,
        resource=holder if isinstance(holder, Resource) else None,
        proof=proof,
        is_recalled=is_recalled,
        x5t_s256=x5t_s256,
    )


def usable(client: Client) -> Client:
    """Return the client if it may act. Raises AgentNotUsable."""
    if client.agent and client.agent.state != AgentState.ACTIVE:
        raise AgentNotUsable(client)
    return client
