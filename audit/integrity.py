"""The integrity page: how strong the log's claim is and why, who vouches for it, what checks found; and checks on demand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from audit import certificate, losses, notes, read, scrub, strength, trust
from audit.access import readers_only, scope_of
from audit.errors import LogError
from audit.events import LogViewed
from audit.models import Check, Log
from audit.policy import Policy
from audit.write import NOBODY, record_alone

PERIOD_MAX = timedelta(days=3 * 366)


class PeriodForm(forms.Form):
    """The days that a certificate is about, both within, in UTC."""

    since = forms.DateField(label=gettext_lazy("From"), widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=gettext_lazy("To, this day included"), widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins, or has no end."""
        said = super().clean() or {}
        since, until = said.get("since"), said.get("until")
        if since and until and not timedelta(0) <= until - since <= PERIOD_MAX:
            raise forms.ValidationError(_("The period ends before it begins, or is longer than three years."))
        return said


def integrity_view(request: HttpRequest) -> HttpResponse:
    """Show how strong the claim is at present, and what it rests on."""
    _whole_readers_only(request)
    now = datetime.now(UTC)
    if not request.headers.get("HX-Request"):
        _note(request, "integrity")
    shown = {
        "strength": strength.assess(now),
        "logs": list(Log.objects.order_by("-generation")),
        "lost": [(each.generation, each.first, each.end - 1) for each in losses.every()],
        "minimum": read.minimum(),
        "checkpoint": _latest(),
        "trouble": read.trouble(),
        "period": PeriodForm(initial={"since": (now - timedelta(days=30)).date(), "until": now.date()}),
        "has_policy": bool(trust.shown()),
        **_checks(),
    }
    return render(request, "audit/integrity.html", shown)


def checks_view(request: HttpRequest) -> HttpResponse:
    """Answer the state of the checks: what the page asks for again while one runs."""
    _whole_readers_only(request)
    return render(request, "audit/checks.html", _checks())


@require_POST
@readers_only
def check_now(request: HttpRequest, kind: str) -> HttpResponse:
    """Have a check run at once; one at a time."""
    _whole_readers_only(request)
    if kind not in scrub.KINDS:
        raise Http404
    try:
        scrub.ask(kind, by=getattr(request.user, "ref", "unknown"))
    except scrub.AlreadyRunning:
        return render(request, "audit/busy.html", status=409)
    return redirect("audit:integrity")


def policy_view(request: HttpRequest) -> HttpResponse:
    """Answer a policy for other verifiers: this log, and the witnesses that this deployment trusts."""
    return _text(policy_text(), "log.policy")


def vkeys_view(request: HttpRequest) -> HttpResponse:
    """Answer the verifier keys of every generation, one a line: what a witness is set up with."""
    return _text("".join(f"{log.vkey}\n" for log in Log.objects.order_by("generation")), "log.vkeys")


def certificate_view(request: HttpRequest) -> HttpResponse:
    """Show the integrity certificate of a period, to be printed and filed."""
    _whole_readers_only(request)
    form = PeriodForm(request.GET)
    if not form.is_valid():
        return render(request, "audit/certificate.html", {"form": form}, status=400)
    _note(request, "certificate")
    since = datetime.combine(form.cleaned_data["since"], time.min, UTC)
    until = datetime.combine(form.cleaned_data["until"], time.min, UTC) + timedelta(days=1)
    made = certificate.certify(since, until, now=datetime.now(UTC))
    return render(
        request, "audit/certificate.html", {"form": form, "made": made, "last_day": form.cleaned_data["until"]}
    )


def policy_text() -> str:
    """Return a tlog-policy: a line for each key of the log (its newest origin), then witnesses, groups and quorum."""
    newest: dict[bytes, Log] = {}
    for log in Log.objects.order_by("generation"):
        newest[notes.parse_vkey(log.vkey).public] = log  # tlog-policy, Defining a log: a key once
    lines = [f"log {log.vkey}" for log in newest.values()]
    return "\n".join([*lines, *_witness_lines(trust.configured()), ""])


def _witness_lines(policy: Policy) -> list[str]:
    lines = [f"witness {each.name} {each.key} {each.url}".rstrip() for each in policy.witnesses]
    lines += [f"group {name} {group.threshold} {' '.join(group.members)}" for name, group in policy.groups.items()]
    return [*lines, f"quorum {policy.quorum}"]


def _checks() -> dict[str, Any]:
    rows = {row.kind: row for row in Check.objects.all()}
    words = {
        scrub.TILES: (_("Tile check"), _("The tree, built again from its lowest hashes. Takes seconds.")),
        scrub.INCREMENTAL: (_("What is new"), _("Every entry since the last of these checks.")),
        scrub.FULL: (
            _("Everything"),
            _("Every entry, column, hash and signature. Runs slowly by itself, all the time."),
        ),
    }
    shown = [_check(kind, *said, rows.get(kind)) for kind, said in words.items()]
    return {"checks": shown, "is_busy": any(each["is_asked"] for each in shown)}


def _check(kind: str, title: str, what: str, row: Check | None) -> dict[str, Any]:
    is_running = row is not None and row.began_at is not None and row.ended_at is None
    percent = int(100 * row.upto / row.total) if row and is_running and row.total else 0
    return {
        "kind": kind, "title": title, "what": what, "row": row, "is_running": is_running,
        "is_asked": bool(row and row.wanted_by), "percent": min(percent, 100),
    }  # fmt: skip


def _latest() -> Any:
    try:
        return read.latest_checkpoint()
    except LogError:
        return None


def _whole_readers_only(request: HttpRequest) -> None:
    """The page tells of the whole log, so a seat before a part of it does not see it. Raises: PermissionDenied."""
    if not scope_of(request.user).is_whole:
        raise PermissionDenied(_("This page tells of the whole log, and your seat is before a part of it."))


def _text(text: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def _note(request: HttpRequest, page: str) -> None:
    record_alone(LogViewed(page=page, at=None, query=[]), by=getattr(request.user, "ref", "unknown"), facts=NOBODY)
