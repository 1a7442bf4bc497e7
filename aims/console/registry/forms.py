"""Forms of the registry's pages: input into typed values, nothing else."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from aims.authorization.errors import ClientSettingsRefused
from aims.authorization.models import PUBLIC
from aims.authorization.services.clients import TLS_CLIENT_AUTH, TLS_VALUE_MAX, ClientSettings, settings_of
from aims.console.registering import Keys
from aims.credentials import queries as keys
from aims.credentials.errors import BundleRefused, KeysRefused
from aims.credentials.services.registered import JWKS_MAX_BYTES
from aims.identifier.errors import (
    IdentifierRefused,
    IdentifierTaken,
    OwnerRefused,
    ResourceRefused,
    UnknownTrustDomain,
)
from aims.identifier.models import Agent, AgentState, Resource, Reversibility
from aims.identifier.services import ActionSpec
from aims.identifier.services.resources import ACTIONS_MAX
from aims.identifier.uri import folded
from aims.kit import fetch
from aims.kit.errors import AimsError
from aims.kit.jose import ALGORITHMS
from aims.people.models import Group, User
from audit.canonical import CanonicalError, decode

URI_MAX = 2048
# Which field an error is about, where the error does not name one itself.
_FIELDS: dict[type[AimsError], str] = {
    IdentifierRefused: "identifier",
    IdentifierTaken: "identifier",
    UnknownTrustDomain: "identifier",
    ResourceRefused: "identifier",
    OwnerRefused: "owner",
    KeysRefused: "jwks",
    BundleRefused: "bundle",
    ClientSettingsRefused: "endpoint",
}


def put(form: forms.Form, error: AimsError) -> None:
    """Show expected trouble at the field that it is about, or on top of the form."""
    field = getattr(error, "field", None) or _FIELDS.get(type(error))
    form.add_error(field if field in form.fields else None, gettext(error.public))


def strict_json(text: object) -> object:
    """Return what a person pasted, or None. Raises ValidationError."""
    said = str(text).strip()
    try:
        return decode(said.encode()) if said else None
    except (CanonicalError, UnicodeEncodeError) as error:
        raise forms.ValidationError(_("This is not strict JSON: check commas, quotes and doubled names.")) from error


class UriField(forms.CharField):
    """An address that we will fetch or ping: checked as far as that goes without the network."""

    def __init__(self, **more: Any) -> None:
        attrs = {"inputmode": "url", "autocomplete": "off", "spellcheck": "false", "class": "mono"}
        super().__init__(required=False, max_length=URI_MAX, widget=forms.TextInput(attrs=attrs), **more)

    def clean(self, value: Any) -> str:
        """Return the address, or nothing. Raises ValidationError."""
        uri = str(super().clean(value))
        try:
            if uri:
                fetch.check_url(uri)
        except AimsError as error:
            raise forms.ValidationError(gettext(error.public)) from error
        return uri


class KeysForm(forms.Form):
    """Public keys of an agent or resource server: given here, or where it publishes them."""

    jwks = forms.CharField(
        label=_("Public keys (JWKS)"),
        help_text=_('{"keys": […]} with public members only. Keys that are taken out end at once.'),
        required=False,
        max_length=JWKS_MAX_BYTES,
        widget=forms.Textarea(attrs={"rows": 6, "class": "code", "spellcheck": "false"}),
    )
    jwks_uri = UriField(
        label=_("Or where it publishes them"),
        help_text=_("An https address of a JWK set. We fetch it when an unknown key signs."),
    )

    def clean_jwks(self) -> object:
        """Return the JWK set, or None. Raises ValidationError."""
        return strict_json(self.cleaned_data["jwks"])

    def clean(self) -> None:
        """Raises ValidationError where both are given."""
        if self.cleaned_data.get("jwks") and self.cleaned_data.get("jwks_uri"):
            self.add_error("jwks_uri", _("Give the keys or their address, not both."))

    def keys(self) -> Keys:
        """Return the keys as the form says them, all of them: what is empty is taken out."""
        return Keys(jwks=self.cleaned_data["jwks"] or {"keys": []}, jwks_uri=self.cleaned_data["jwks_uri"])


class AgentForm(KeysForm):
    """What may change about an agent."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Shown on every card."))
    purpose = forms.CharField(label=_("Purpose"), max_length=400, help_text=_("One sentence: what is it for?"))
    contact = forms.CharField(label=_("Contact"), max_length=254, help_text=_("Whom to call when it misbehaves."))
    groups = forms.ModelMultipleChoiceField(
        label=_("Groups"),
        help_text=_("It may also ask the members of these. Its owner and those who gave it a grant it may always ask."),
        queryset=Group.objects.order_by("name"),
        to_field_name="slug",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    delivery = forms.ChoiceField(
        label=_("How it learns of decisions"),
        choices=[
            ("poll", _("Poll: it asks again until there is an answer")),
            ("ping", _("Ping: we call it when there is one")),
        ],
        initial="poll",
        required=False,
        widget=forms.RadioSelect,
    )
    endpoint = UriField(label=_("Address to ping"))
    signing_alg = forms.ChoiceField(
        label=_("Its requests must be signed with"),
        help_text=_("Beside its client assertion. None is usual."),
        choices=[("", pgettext_lazy("algorithm", "None demanded")), *((name, name) for name in sorted(ALGORITHMS))],
        required=False,
    )

    dpop_bound = forms.BooleanField(
        label=_("Every token is bound to its key"),
        help_text=_("Then a stolen token is worth nothing. The agent must send a DPoP proof with each request."),
        required=False,
    )

    redirect_uris = forms.CharField(
        label=_("Where browsers bring it codes"),
        help_text=_(
            "For agents that people send to sign in and agree here: its redirect addresses, one a line. The request has "
            "to name one of them exactly; only the port of a loopback address may differ."
        ),
        widget=forms.Textarea(attrs={"class": "code", "spellcheck": "false"}),
        required=False,
    )

    auth_method = forms.ChoiceField(
        label=_("How it proves who it is"),
        help_text=_("This way and no other. Never with a secret."),
        choices=[
            ("private_key_jwt", _("A signed assertion (private_key_jwt)")),
            ("spiffe_jwt", _("A JWT-SVID of its trust domain (spiffe_jwt)")),
            ("spiffe_x509", _("An X.509-SVID of its trust domain (spiffe_x509)")),
            ("tls_client_auth", _("A certificate with a name below (tls_client_auth)")),
            ("self_signed_tls_client_auth", _("A certificate with a key above (self_signed_tls_client_auth)")),
            ("wimse_wit_wpt", _("A workload token with a proof (wimse_wit_wpt)")),
            ("wimse_http_signature", _("A workload token and a signed request (wimse_http_signature)")),
        ],
        initial="private_key_jwt",
        required=False,
    )
    tls_name = forms.ChoiceField(
        label=_("Name in its certificate"),
        choices=[
            ("", pgettext_lazy("certificate", "None")),
            ("subject_dn", _("Subject, as RFC 4514 writes it")),
            ("san_dns", _("DNS name")),
            ("san_uri", _("URI")),
            ("san_ip", _("IP address")),
            ("san_email", _("Email address")),
        ],
        required=False,
    )
    tls_value = forms.CharField(
        label=_("That name"),
        help_text=_("The certificate must lead to an authority in the bundle of its trust domain."),
        max_length=TLS_VALUE_MAX,
        required=False,
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    tls_bound = forms.BooleanField(
        label=_("Every token is bound to its certificate"),
        help_text=_("Then it must show the certificate with each request for a token, and with the token."),
        required=False,
    )

    def clean_auth_method(self) -> str:
        """Return the method; private_key_jwt where none is chosen."""
        return str(self.cleaned_data["auth_method"] or "private_key_jwt")

    def clean_delivery(self) -> str:
        """Return the mode; poll where none is chosen."""
        return str(self.cleaned_data["delivery"] or "poll")

    def client(self) -> ClientSettings:
        """Return how it takes delivery; who polls has no endpoint."""
        data = self.cleaned_data
        return ClientSettings(
            delivery_mode=data["delivery"],
            notification_endpoint=data["endpoint"] if data["delivery"] == "ping" else "",
            request_signing_alg=data["signing_alg"],
            dpop_bound=data["dpop_bound"],
            redirect_uris=tuple(data["redirect_uris"].split()),
            auth_method=data["auth_method"],
            tls_name=data["tls_name"] if data["auth_method"] == TLS_CLIENT_AUTH else "",
            tls_value=data["tls_value"] if data["auth_method"] == TLS_CLIENT_AUTH else "",
            tls_bound=data["tls_bound"],
        )


class NewAgentForm(AgentForm):
    """A new agent. What a person types is folded before it is checked; credentials never are."""

    identifier = forms.CharField(
        label=_("Identifier"),
        help_text=_("Such as spiffe://acme.example/agent/courier. It stays for ever and is never used again."),
        max_length=URI_MAX,
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    owner = forms.ModelChoiceField(
        label=_("Owner"),
        help_text=_("Who answers for it, and may stop it."),
        queryset=User.objects.filter(is_active=True).order_by("name"),
        to_field_name="ref",
        empty_label=_("Choose a person"),
    )

    def clean_identifier(self) -> str:
        """Return the identifier with scheme and trust domain in lower case."""
        return folded(str(self.cleaned_data["identifier"]))


class SeenForm(forms.Form):
    """The version of a row that the person had before them."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)


class ChangedAgentForm(AgentForm, SeenForm):
    """An agent that is there. A public client stays one: it has no key to prove."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.initial.get("auth_method") == PUBLIC:
            method = self.fields["auth_method"]
            assert isinstance(method, forms.ChoiceField)
            method.choices = [(PUBLIC, _("Nothing: a public client (none)"))]


class OwnerForm(forms.Form):
    """Another owner."""

    owner = NewAgentForm.base_fields["owner"]


class ResourceForm(KeysForm):
    """What may change about a resource, but for its actions."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Shown on every card."))
    kind = forms.ChoiceField(label=_("Kind"), choices=Resource.Kind.choices)
    description = forms.CharField(label=_("Description"), max_length=400, required=False)
    operator = forms.ModelChoiceField(
        label=_("Run by the agent"),
        queryset=Agent.objects.exclude(state=AgentState.RETIRED).order_by("name", "pk"),
        to_field_name="ref",
        required=False,
        empty_label=_("None"),
        help_text=_("It may exchange the tokens that are for this resource, to go on in the chain."),
    )


class NewResourceForm(ResourceForm):
    """A new resource."""

    identifier = forms.CharField(
        label=_("Identifier"),
        help_text=_("The address that agents name as their audience, such as https://pay.example/. It never changes."),
        max_length=URI_MAX,
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )


class ChangedResourceForm(ResourceForm, SeenForm):
    """A resource that is there."""


class ActionForm(forms.Form):
    """One line of the actions. A line without a name says nothing."""

    name = forms.CharField(label=_("Name"), max_length=80, required=False)
    title = forms.CharField(label=_("In words"), max_length=120, required=False)
    reversibility = forms.ChoiceField(
        label=_("Can it be undone?"),
        choices=[("", _("Choose")), *Reversibility.choices],
        required=False,
    )
    detail_type = forms.CharField(label=_("Detail type"), max_length=120, required=False)

    def clean(self) -> None:
        """Raises ValidationError where a line with a name misses something."""
        data = self.cleaned_data
        if not data.get("name") and any(data.get(field) for field in ("title", "reversibility", "detail_type")):
            self.add_error("name", _("Name the action, or empty the line."))
        for field in ("title", "reversibility"):
            if data.get("name") and not data.get(field) and field not in self.errors:
                self.add_error(field, _("This is missing."))

    def spec(self) -> ActionSpec | None:
        """Return the action, None of an empty line."""
        return ActionSpec(**self.cleaned_data) if self.cleaned_data.get("name") else None


# The lines of a resource's actions, with a few empty ones to go on.
_Lines = forms.formset_factory(ActionForm, extra=3, max_num=ACTIONS_MAX, absolute_max=ACTIONS_MAX)


def action_lines(data: Any = None, *, held: list[dict[str, Any]] | None = None) -> forms.BaseFormSet[ActionForm]:
    """Return the lines of actions. held: those that are there."""
    return _Lines(data, initial=held or [], prefix="actions")


def specs_of(lines: forms.BaseFormSet[ActionForm]) -> tuple[ActionSpec, ...]:
    """Return the actions of the lines that say something."""
    found = (line.spec() for line in lines.forms)
    return tuple(spec for spec in found if spec is not None)


def of_agent(agent: Agent) -> dict[str, Any]:
    """Return what an agent's form shows at first."""
    client = settings_of(agent)
    return keys_of(agent.ref) | {
        "name": agent.name,
        "purpose": agent.purpose,
        "contact": agent.contact,
        "groups": list(agent.related_groups.values_list("slug", flat=True)),
        "delivery": client.delivery_mode,
        "endpoint": client.notification_endpoint,
        "signing_alg": client.request_signing_alg,
        "dpop_bound": client.dpop_bound,
        "redirect_uris": "\n".join(client.redirect_uris),
        "auth_method": client.auth_method,
        "tls_name": client.tls_name,
        "tls_value": client.tls_value,
        "tls_bound": client.tls_bound,
        "seen": agent.version,
    }


def keys_of(holder_ref: str) -> dict[str, Any]:
    """Return what a form of keys shows at first: the registered ones, readable."""
    held = [dict(key.jwk) | {"kid": key.kid, "alg": key.algorithm} for key in keys.registered_keys_of(holder_ref)]
    return {
        "jwks": json.dumps({"keys": held}, indent=2) if held else "",
        "jwks_uri": keys.jwks_uri_of(holder_ref) or "",
    }
