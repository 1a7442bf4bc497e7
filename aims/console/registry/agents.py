"""Pages about agents: the list, one agent as its stack, and what changes it. Each parses and calls one verb."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from aims.authorization.client_models import ClientRegistration
from aims.authorization.models import DelegationGrant
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import agents as stopping
from aims.console import registering
from aims.console.management import may_manage
from aims.console.registry import questions
from aims.console.registry.asking import Question, ask
from aims.console.registry.forms import ChangedAgentForm, NewAgentForm, OwnerForm, of_agent, put
from aims.console.registry.listing import SearchForm, listed
from aims.console.registry.rights import is_cut
from aims.console.registry.stack import stack_of
from aims.identifier.models import Agent, AgentState
from aims.identifier.queries import agents_like, agents_visible_to
from aims.identifier.services import RegisterAgent, UpdateAgent, transfer_owner
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.access import person_of, requires_role, signed_in
from aims.people.models import User
from audit.read import scope_of

Verb = Callable[..., None]
form_page = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@signed_in
def agent_list(request: HttpRequest) -> HttpResponse:
    """Show the agents that this person may see, by name."""
    person, form = person_of(request), SearchForm(request.GET, states=AgentState.choices)
    rows = agents_visible_to(person)
    rows = agents_like(rows, **form.wanted()) if form.is_valid() else rows.none()
    page = listed(request, rows, by=("name", "pk"))
    is_admin = person.has_role("admin")
    waiting = ClientRegistration.objects.filter(state=RegistrationState.QUARANTINED).count() if is_admin else 0
    shown = {"page": page, "form": form, "is_admin": is_admin, "waiting": waiting, "is_cut": is_cut(person)}
    return render(request, "agents/list.html", shown)


@require_safe
@signed_in
def agent_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Show one agent as its stack; who may not see it can't tell it from one that is not there."""
    person, now = person_of(request), clock.now()
    agent: Agent = get_object_or_404(agents_visible_to(person), ref=ref)
    may_act = _may_act(person, agent) and agent.state != AgentState.RETIRED
    asked = questions.of_agent(agent, may_retire=person.has_role("admin"), now=now) if may_act else {}
    shown = {
        "agent": agent,
        "layers": stack_of(agent, reader=person, now=now, may_mend=may_act),
        "may_act": may_act,
        "may_read_log": scope_of(person).covers_agent(agent.identifier),
        "questions": asked,
        "groups": list(agent.related_groups.order_by("name")),
        "grants": DelegationGrant.objects.filter(agent=agent, revoked_at=None, until_at__gt=now).count(),
    }
    return render(request, "agents/detail.html", shown)


@form_page
@requires_role("admin")
def new(request: HttpRequest) -> HttpResponse:
    """Register an agent with its keys and its client row, all of it or nothing."""
    form = NewAgentForm(request.POST or None)
    if form.is_valid():
        try:
            agent = _register(form, by=person_of(request).ref)
        except AimsError as error:
            put(form, error)
        else:
            messages.success(
                request, _("%(name)s is registered. It may do nothing yet: give it a grant.") % vars(agent)
            )
            return redirect("agent", ref=agent.ref)
    return render(request, "agents/new.html", {"form": form}, status=422 if form.errors else 200)


@form_page
@signed_in
def edit(request: HttpRequest, ref: str) -> HttpResponse:
    """Change an agent. Its identifier is shown and stays; its owner has a page of their own."""
    agent = _mine(request, ref)
    form = ChangedAgentForm(request.POST or None, initial=of_agent(agent))
    if form.is_valid():
        try:
            changed = _change(agent, form, by=person_of(request).ref)
        except AimsError as error:
            put(form, error)
        else:
            messages.success(request, saved(changed))
            return redirect("agent", ref=agent.ref)
    return render(request, "agents/edit.html", {"form": form, "agent": agent}, status=422 if form.errors else 200)


@form_page
@signed_in
def owner(request: HttpRequest, ref: str) -> HttpResponse:
    """Give an agent to another owner; the answer to the first form asks once more, naming both."""
    agent = _mine(request, ref)
    given = request.POST or (request.GET if "owner" in request.GET else None)
    form = OwnerForm(given, initial={"owner": agent.owner.ref})
    shown: dict[str, object] = {"form": form, "agent": agent}
    if form.is_valid() and form.cleaned_data["owner"] == agent.owner:
        form.add_error("owner", _("%(name)s answers for it already.") % {"name": agent.owner.name})
    if form.is_valid() and not person_of(request).has_role("admin") and may_manage(agent, now=clock.now()):
        # Whoever answers for it can use its rights, and only admins give rights to manage.
        form.add_error(None, _("It manages this console, so only an admin may give it to somebody else."))
    if not form.is_valid():
        return render(request, "agents/owner.html", shown, status=422 if form.errors else 200)
    to: User = form.cleaned_data["owner"]
    if request.method != "POST":
        return render(request, "agents/owner.html", shown | {"to": to})
    try:
        transfer_owner(agent, to=to, by=person_of(request).ref, now=clock.now())
    except AimsError as error:
        put(form, error)
        return render(request, "agents/owner.html", shown, status=422)
    messages.success(request, _("%(owner)s answers for %(name)s now.") % {"owner": to.name, "name": agent.name})
    visible = agents_visible_to(person_of(request)).filter(pk=agent.pk).exists()
    return redirect("agent", ref=agent.ref) if visible else redirect("agents")


@form_page
@signed_in
def suspend(request: HttpRequest, ref: str) -> HttpResponse:
    """Suspend an agent, with everything that it waits for."""
    agent = _mine(request, ref)
    question = questions.suspend(agent, now=clock.now())
    return _act(request, agent, question, stopping.suspend_agent, _("%(name)s is suspended."))


@form_page
@signed_in
def resume(request: HttpRequest, ref: str) -> HttpResponse:
    """Let a suspended agent act again."""
    agent = _mine(request, ref)
    return _act(request, agent, questions.resume(agent), stopping.resume_agent, _("%(name)s may act again."))


@form_page
@signed_in
def stop(request: HttpRequest, ref: str) -> HttpResponse:
    """Suspend an agent and take back all that it was given."""
    agent = _mine(request, ref)
    said = _("%(name)s is stopped: it is suspended, and everything it was given is taken back.")
    return _act(request, agent, questions.stop(agent, now=clock.now()), stopping.stop_everything, said)


@form_page
@requires_role("admin")
def retire(request: HttpRequest, ref: str) -> HttpResponse:
    """Retire an agent for ever."""
    agent = _mine(request, ref)
    question = questions.retire(agent, now=clock.now())
    return _act(request, agent, question, stopping.retire_agent, _("%(name)s is retired for ever."))


def saved(changed: tuple[str, ...]) -> str:
    """Return what to say after a form was saved. changed: names as the verbs return them."""
    words = {
        "related_groups": _("groups"),
        "keys": _("keys"),
        "jwks_uri": _("address of the keys"),
        "delivery": _("delivery"),
        "name": _("name"),
        "purpose": _("purpose"),
        "contact": _("contact"),
        "kind": _("kind"),
        "description": _("description"),
        "actions": _("actions"),
    }
    if not changed:
        return _("Nothing was different, so nothing was written.")
    return _("Saved: %(what)s.") % {"what": ", ".join(words.get(name, name) for name in changed)}


def _act(request: HttpRequest, agent: Agent, question: Question, verb: Verb, said: str) -> HttpResponse:
    def act(reason: str) -> str:
        verb(agent, reason=reason, by=person_of(request).ref, now=clock.now())
        return said % {"name": agent.name}

    return ask(request, question, act=act)


def _mine(request: HttpRequest, ref: str) -> Agent:
    """Return an agent that this person may change. Raises Http404, PermissionDenied."""
    person = person_of(request)
    agent: Agent = get_object_or_404(agents_visible_to(person), ref=ref)
    if not _may_act(person, agent):
        raise PermissionDenied
    return agent


def _may_act(person: User, agent: Agent) -> bool:
    return agent.owner_id == person.pk or person.has_role("admin")


def _register(form: NewAgentForm, *, by: str) -> Agent:
    data = form.cleaned_data
    command = RegisterAgent(
        identifier=data["identifier"],
        name=data["name"],
        purpose=data["purpose"],
        contact=data["contact"],
        owner=data["owner"],
        related_groups=tuple(data["groups"]),
    )
    return registering.register(command, keys=form.keys(), client=form.client(), by=by, now=clock.now())


def _change(agent: Agent, form: ChangedAgentForm, *, by: str) -> tuple[str, ...]:
    data = form.cleaned_data
    command = UpdateAgent(
        name=data["name"],
        purpose=data["purpose"],
        contact=data["contact"],
        related_groups=tuple(data["groups"]),
    )
    return registering.change(
        agent,
        command,
        owner=agent.owner,
        keys=form.keys(),
        client=form.client(),
        by=by,
        now=clock.now(),
        seen_version=data["seen"],
    )
