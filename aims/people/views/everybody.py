"""The admin's pages: the list of people, one person, invitations and recovery, groups."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from aims.kit import clock
from aims.people import queries, services
from aims.people.access import person_of, requires_role
from aims.people.errors import FieldRefused
from aims.people.forms import GroupForm, InviteForm
from aims.people.models import Group, Role, User
from aims.people.views.answers import as_page, done
from audit.read import scope_of

admin_only = requires_role(Role.ADMIN)


@require_GET
@admin_only
def people(request: HttpRequest) -> HttpResponseBase:
    """List people, 50 a page."""
    page = queries.people_page(after=request.GET.get("after", ""), limit=queries.PAGE_DEFAULT + 1)
    shown = page[: queries.PAGE_DEFAULT]
    following = shown[-1].ref if len(page) > len(shown) else ""
    rows = [{"person": person, "roles": _roles_of(person), "keys": _keys_of(person)} for person in shown]
    return render(request, "people/people.html", {"rows": rows, "following": following, "groups": queries.all_groups()})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@admin_only
@as_page
def invite(request: HttpRequest) -> HttpResponseBase:
    """Invite a person; the link is shown once, on the answer to the form."""
    form = InviteForm(request.POST or None)
    if not form.is_valid():
        return render(request, "people/invite.html", {"form": form})
    clean = form.cleaned_data
    by = person_of(request).ref
    token = services.invite(clean["email"], roles=clean["roles"], name=clean["name"], by=by, now=clock.now())
    return _link_once(request, token, clean["email"])


@require_GET
@admin_only
def person(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Show one person: roles, groups, passkeys, sessions."""
    found, now = _person(ref), clock.now()
    roles = queries.roles_held(found, at=now)
    groups = queries.groups_of(found, at=now)
    shown = {
        "person": found,
        "roles": [{"value": role.value, "label": role.label, "is_held": role in roles} for role in Role],
        "groups": groups,
        "other_groups": [group for group in queries.all_groups() if group not in groups],
        "keys": queries.passkeys_of(found),
        "sessions": queries.sessions_of(found),
        "may_read_log": scope_of(person_of(request)).covers_agent(None),
        "now": now,
    }
    return render(request, "people/person.html", shown)


@require_POST
@never_cache
@admin_only
@as_page
def recover(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Make a recovery link; it is shown once."""
    found = _person(ref)
    token = services.recover(found, by=person_of(request).ref, now=clock.now())
    return _link_once(request, token, found.email)


@require_POST
@admin_only
@as_page
def change_role(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Give a role, or end one."""
    found, by, now = _person(ref), person_of(request).ref, clock.now()
    verb = services.hold_role if request.POST.get("change") == "give" else services.end_role
    verb(found, request.POST.get("role", ""), by=by, now=now)
    return done(request, _("The roles were changed."), f"/people/{ref}/")


@require_POST
@admin_only
@as_page
def change_group(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Put a person into a group, or take them out."""
    found, by, now = _person(ref), person_of(request).ref, clock.now()
    group = Group.objects.filter(slug=request.POST.get("group", "")).first()
    if group is None:
        raise Http404
    verb = services.join_group if request.POST.get("change") == "join" else services.leave_group
    verb(group, found, by=by, now=now)
    return done(request, _("The groups were changed."), f"/people/{ref}/")


@require_POST
@admin_only
@as_page
def create_group(request: HttpRequest) -> HttpResponseBase:
    """Make a group."""
    form = GroupForm(request.POST)
    if not form.is_valid():
        raise FieldRefused
    services.create_group(**form.cleaned_data, by=person_of(request).ref, now=clock.now())
    return done(request, _("The group was made."), "/people/")


@require_POST
@admin_only
@as_page
def change_access(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Deactivate a person, or let them in again."""
    found, by, now = _person(ref), person_of(request).ref, clock.now()
    verb = services.reactivate if request.POST.get("change") == "reactivate" else services.deactivate
    verb(found, by=by, now=now)
    return done(request, _("Done."), f"/people/{ref}/")


@require_POST
@admin_only
@as_page
def end_passkey(request: HttpRequest, ref: str, key_ref: str) -> HttpResponseBase:
    """End a person's passkey, the last one too."""
    key = _person(ref).passkeys.filter(ref=key_ref, ended_at=None).first()
    if key is None:
        raise Http404
    services.end_passkey(key, by=person_of(request).ref, now=clock.now())
    return done(request, _("The passkey no longer works."), f"/people/{ref}/")


def _person(ref: str) -> User:
    found = queries.person_by_ref(ref)
    if found is None:
        raise Http404
    return found


def _link_once(request: HttpRequest, token: str, email: str) -> HttpResponseBase:
    answer = render(request, "people/link.html", {"link": f"{settings.ISSUER}/join/{token}/", "email": email})
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def _roles_of(person: User) -> list[str]:
    now = clock.now()
    # Filtered here, since the rows were fetched with the page.
    held = [role for role in person.role_holdings.all() if role.since_at <= now]
    return sorted(str(Role(role.role).label) for role in held if role.until_at is None or role.until_at > now)


def _keys_of(person: User) -> int:
    return sum(key.ended_at is None for key in person.passkeys.all())
