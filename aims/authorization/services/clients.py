"""What an agent registers as a client: how it takes delivery of decisions, and how it signs its requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from django.db import transaction

from aims.authentication import paths
from aims.authentication.client import PRIVATE_KEY_JWT
from aims.authorization import fapi, redirects
from aims.authorization.errors import ClientSettingsRefused
from aims.authorization.events import ClientConfigured
from aims.authorization.models import KEY_METHODS, TLS_NAMES, Application
from aims.authorization.queries import AGENT_GRANTS
from aims.identifier.models import Agent, AgentState
from aims.identifier.services import raise_version
from aims.kit import fetch
from aims.kit.ids import tagged_hash
from aims.kit.jose import ALGORITHMS
from audit.write import NOBODY, Facts, record

DELIVERY_MODES = ("poll", "ping")
ENDPOINT_MAX = 2048
REDIRECT_URIS_MAX = 10
CODE_GRANTS = ["authorization_code", "refresh_token"]
TLS_VALUE_MAX = 2048
TLS_CLIENT_AUTH = "tls_client_auth"
AUTH_METHOD = "token_endpoint_auth_method"
TLS_BOUND = "tls_client_certificate_bound_access_tokens"


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """CIBA Core 1.0 §4, RFC 9449 §5.2, RFC 8705 §2.1.2, §3.4, RFC 7591 §2.

    request_signing_alg: empty where requests need no signature of their own. dpop_bound: its requests need a DPoP proof.
    auth_method: the one way in which it proves who it is. tls_name, tls_value: with ``tls_client_auth``, which name its
    certificate bears. tls_bound: its requests need a certificate, and its tokens are good with that one only.
    redirect_uris: where people's browsers may bring it codes; with any it may use codes and refresh tokens.
    """

    delivery_mode: str = "poll"
    notification_endpoint: str = ""
    request_signing_alg: str = ""
    dpop_bound: bool = False
    redirect_uris: tuple[str, ...] = ()
    auth_method: str = PRIVATE_KEY_JWT
    tls_name: str = ""
    tls_value: str = ""
    tls_bound: bool = False


def proving(given: Mapping[str, Any], held: ClientSettings) -> dict[str, Any]:
    """Return how a client proves who it is, by the members of its registration; what is not given stays as held.

    given: under the names of RFC 7591 §2 and RFC 8705 §2.1.2, §3.4. Raises ClientSettingsRefused for two names.
    """
    method = given.get(AUTH_METHOD, held.auth_method)
    names = [name for name in TLS_NAMES if given.get(f"{TLS_CLIENT_AUTH}_{name}")]
    if len(names) > 1:
        raise ClientSettingsRefused("Give exactly one tls_client_auth_ name.")
    if names:
        name, value = names[0], str(given[f"{TLS_CLIENT_AUTH}_{names[0]}"])
    else:
        name, value = (held.tls_name, held.tls_value) if method == TLS_CLIENT_AUTH else ("", "")
    tls_bound = given.get(TLS_BOUND, held.tls_bound)
    return {"auth_method": method, "tls_name": name, "tls_value": value, "tls_bound": tls_bound}


def settings_of(agent: Agent) -> ClientSettings:
    """Return what an agent registered, or what counts where it registered nothing."""
    row = Application.objects.filter(agent=agent).first()
    return ClientSettings() if row is None else _settings(row)


def configure_client(agent: Agent, settings: ClientSettings, *, by: str, now: datetime) -> bool:
    """Store how an agent asks and takes delivery, with its client row if it has none; return whether anything changed.

    The same again writes no entry. Raises ClientSettingsRefused, FetchRefused.
    """
    _check(settings)
    with transaction.atomic():
        # Locked, so that two at once make one client row.
        held = Agent.objects.select_for_update().get(pk=agent.pk)
        if held.state == AgentState.RETIRED:
            raise ClientSettingsRefused("A retired agent does not change any more.")
        row = Application.objects.filter(agent=held).first()
        before = ClientSettings() if row is None else _settings(row)
        if row is not None and before == settings:
            return False
        if (settings.auth_method, settings.tls_name, settings.tls_value) != (
            before.auth_method,
            before.tls_name,
            before.tls_value,
        ):
            _check_method(held, settings)
        _store(row or _shadow(held), settings)
        raise_version(held.ref)
        event = ClientConfigured(
            agent=held.ref,
            delivery_mode=settings.delivery_mode,
            endpoint_hash=tagged_hash(settings.notification_endpoint.encode())
            if settings.notification_endpoint
            else None,
            request_signing_alg=settings.request_signing_alg or None,
            dpop_bound=settings.dpop_bound,
            redirect_hashes=[tagged_hash(uri.encode()) for uri in settings.redirect_uris],
            auth_method=settings.auth_method,
            tls_name=settings.tls_name or None,
            tls_value_hash=tagged_hash(settings.tls_value.encode()) if settings.tls_value else None,
            tls_bound=settings.tls_bound,
        )
        record(event, by=by, facts=_facts(held))
    agent.refresh_from_db()
    return True


def _check(settings: ClientSettings) -> None:
    if settings.delivery_mode not in DELIVERY_MODES:
        raise ClientSettingsRefused("The delivery mode is poll or ping.")
    if settings.request_signing_alg and settings.request_signing_alg not in ALGORITHMS:
        raise ClientSettingsRefused(f"Signed requests use one of {', '.join(sorted(ALGORITHMS))}.")
    # CIBA Core 1.0 §4: required for ping, meaningless for poll.
    if (settings.delivery_mode == "ping") != bool(settings.notification_endpoint):
        raise ClientSettingsRefused("Ping needs a notification endpoint, and poll has none.")
    if len(settings.notification_endpoint) > ENDPOINT_MAX:
        raise ClientSettingsRefused("The notification endpoint is longer than 2,048 characters.")
    if settings.notification_endpoint:
        fetch.check_url(settings.notification_endpoint)
    _check_redirects(settings.redirect_uris)


def _check_redirects(uris: tuple[str, ...]) -> None:
    if len(set(uris)) != len(uris) or len(uris) > REDIRECT_URIS_MAX:
        raise ClientSettingsRefused(f"At most {REDIRECT_URIS_MAX} redirect URIs, each once.")
    for uri in uris:
        try:
            redirects.check(uri, application_type="")
        except redirects.RedirectRefused as error:
            raise ClientSettingsRefused(f"A redirect URI can not be registered: {error}.") from error
        if fapi.is_on() and not uri.startswith("https:"):
            raise ClientSettingsRefused("A redirect URI must be https (FAPI 2.0).")


def _check_method(agent: Agent, settings: ClientSettings) -> None:
    """Raise ClientSettingsRefused for a method that this agent can't use, or without what it needs."""
    method, name, value = settings.auth_method, settings.tls_name, settings.tls_value
    if method not in KEY_METHODS:  # a public client is one by its own registration, never by a form
        raise ClientSettingsRefused(f"The authentication method is one of {', '.join(KEY_METHODS)}.")
    if method in ("spiffe_jwt", "spiffe_x509") and not agent.identifier.startswith("spiffe://"):
        raise ClientSettingsRefused("This method needs an identifier that begins with spiffe://.")
    if (method == TLS_CLIENT_AUTH) != bool(name and value) or bool(name) != bool(value):
        raise ClientSettingsRefused(
            "tls_client_auth needs exactly one name of the certificate, and no other method has one."
        )
    if not name:
        return
    if name not in TLS_NAMES or len(value) > TLS_VALUE_MAX or not value.isprintable():
        raise ClientSettingsRefused("The certificate's name is not one that can be compared.")
    try:
        if name == "subject_dn":
            paths.distinguished(value)
        elif name == "san_ip":
            ip_address(value)
    except ValueError as error:
        raise ClientSettingsRefused("The certificate's name can't be read: a DN is written as in RFC 4514.") from error


def _shadow(agent: Agent) -> Application:
    """Return a new client row: the toolkit's view of an agent, without a secret."""
    return Application(
        agent=agent,
        client_id=agent.identifier,
        name=agent.name,
        client_type=Application.CLIENT_CONFIDENTIAL,
        client_secret="",
        hash_client_secret=False,
        grant_types=AGENT_GRANTS,
    )


def _store(row: Application, settings: ClientSettings) -> None:
    row.backchannel_token_delivery_mode = settings.delivery_mode
    row.backchannel_client_notification_endpoint = settings.notification_endpoint
    row.backchannel_authentication_request_signing_alg = settings.request_signing_alg
    row.dpop_bound_access_tokens = settings.dpop_bound
    row.redirect_uris = " ".join(settings.redirect_uris)
    others = [name for name in row.grant_types if name not in CODE_GRANTS]
    row.grant_types = others + (CODE_GRANTS if settings.redirect_uris else [])
    row.token_endpoint_auth_method = settings.auth_method
    row.tls_client_auth_name, row.tls_client_auth_value = settings.tls_name, settings.tls_value
    row.tls_client_certificate_bound_access_tokens = settings.tls_bound
    row.save()


def _settings(row: Application) -> ClientSettings:
    return ClientSettings(
        delivery_mode=row.backchannel_token_delivery_mode,
        notification_endpoint=row.backchannel_client_notification_endpoint,
        request_signing_alg=row.backchannel_authentication_request_signing_alg,
        dpop_bound=row.dpop_bound_access_tokens,
        redirect_uris=tuple(row.redirect_uris.split()),
        auth_method=row.token_endpoint_auth_method,
        tls_name=row.tls_client_auth_name,
        tls_value=row.tls_client_auth_value,
        tls_bound=row.tls_client_certificate_bound_access_tokens,
    )


def _facts(agent: Agent) -> Facts:
    return Facts(**(vars(NOBODY) | {"agent": agent.identifier, "subject": agent.owner.ref}))
