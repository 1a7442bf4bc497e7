"""Pages about the policy: its versions in words, and putting another one in force after a look at what it changes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from aims.console import labels
from aims.console.registry.listing import listed
from aims.kit import clock
from aims.people.access import person_of, requires_role
from aims.policy import engine
from aims.policy.errors import PolicyRefused
from aims.policy.models import PolicyVersion
from aims.policy.queries import active_version
from aims.policy.services import check, load_policy

EXCERPT_LINES = 2  # on both sides of the place where it goes wrong


class PolicyForm(forms.Form):
    """A policy text, typed or from a file. Line ends are ours, whatever the browser makes of them."""

    text = forms.CharField(
        label=gettext_lazy("Policy, in Cedar"),
        required=False,
        strip=False,
        max_length=engine.POLICY_MAX_BYTES,
        widget=forms.Textarea(attrs={"rows": 18, "class": "code", "spellcheck": "false", "autocapitalize": "off"}),
    )
    file = forms.FileField(
        label=gettext_lazy("Or a file"),
        help_text=gettext_lazy("It takes the place of the text above."),
        required=False,
        max_length=255,
    )
    seen = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)

    def clean(self) -> None:
        """Raises ValidationError where there is no text, or a file that is none."""
        given = self.cleaned_data.get("file")
        if given is not None and given.size > engine.POLICY_MAX_BYTES:
            self.add_error("file", _("The policy is longer than 256 KiB."))
            return
        try:
            text = self.cleaned_data.get("text", "") if given is None else given.read().decode()
        except UnicodeDecodeError:
            self.add_error("file", _("This is not a text in UTF-8."))
            return
        self.cleaned_data["text"] = text.replace("\r\n", "\n")
        if not text.strip() and "text" not in self.errors:
            self.add_error("text", _("Write a policy, or choose a file."))


@require_safe
@requires_role("admin", "auditor", "owner", "approver")
def policy_page(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Show one version of the policy, by default the active one: its rules in words, its text, what changed."""
    shown = _version(number)
    page = listed(request, PolicyVersion.objects.all(), by=("-number",), key="number")
    names = labels.of({version.loaded_by for version in page.rows})
    context: dict[str, object] = {
        "page": page,
        "versions": [(version, names.get(version.loaded_by, version.loaded_by)) for version in page.rows],
        "shown": shown,
        "is_admin": person_of(request).has_role("admin"),
    }
    if shown is not None:
        before = PolicyVersion.objects.filter(number__lt=shown.number).order_by("-number").first()
        compiled = engine.compile(shown.text, version=shown.number)
        context |= {"rules": list(compiled.rules.values()), "diff": list(diff(before, shown.text)) if before else []}
    return render(request, "policies/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires_role("admin")
def load(request: HttpRequest) -> HttpResponse:
    """Check a text, show what it would change, and put it in force when asked to."""
    active = active_version()
    if request.method != "POST":
        return _editor(request, PolicyForm(initial={"text": _text_to_begin_with(request, active)}))
    form, step = PolicyForm(request.POST, request.FILES), request.POST.get("step", "check")
    if not form.is_valid():
        return _editor(request, form)
    text = form.cleaned_data["text"]
    if step == "edit":
        return _editor(request, PolicyForm(initial={"text": text}))
    try:
        compiled = check(text)
    except PolicyRefused as error:
        form = _retyped(request, text)
        form.add_error("text", error.public)
        return _editor(request, form, excerpt=list(_excerpt(text, error.line)))
    if active is not None and active.hash == compiled.hash:
        messages.info(request, _("This text is in force already: version %(n)s.") % {"n": active.number})
        return redirect("policies")
    if step == "activate" and form.cleaned_data["seen"] == (active.number if active else 0):
        return _activate(request, text, name=active.name if active else "default")
    shown = {
        "form": PolicyForm(initial={"text": text, "seen": active.number if active else 0}),
        "active": active,
        "rules": list(compiled.rules.values()),
        "diff": list(diff(active, text)),
        "known": PolicyVersion.objects.filter(hash=compiled.hash).first(),
        "is_overtaken": step == "activate",
    }
    return render(request, "policies/preview.html", shown, status=409 if step == "activate" else 200)


def diff(before: PolicyVersion | None, text: str) -> Iterator[tuple[str, str]]:
    """Yield what a text changes against a version: the tone and the words of each line of a unified diff."""
    old = before.text.splitlines() if before else []
    for line in list(difflib.unified_diff(old, text.splitlines(), lineterm=""))[2:]:
        yield {"+": "yes", "-": "no", "@": "place"}.get(line[:1], ""), line


def _activate(request: HttpRequest, text: str, *, name: str) -> HttpResponse:
    version = load_policy(text, by=person_of(request).ref, now=clock.now(), name=name)
    messages.success(
        request, _("Version %(n)s is in force. It counts from the next decision on.") % {"n": version.number}
    )
    return redirect("policies")


def _editor(request: HttpRequest, form: PolicyForm, *, excerpt: object = ()) -> HttpResponse:
    shown = {"form": form, "excerpt": excerpt}
    return render(request, "policies/load.html", shown, status=422 if form.errors else 200)


def _retyped(request: HttpRequest, text: str) -> PolicyForm:
    """Return the form as if this text had been typed: what came as a file can be mended here."""
    data = request.POST.copy()
    data["text"] = text
    form = PolicyForm(data)
    form.is_valid()
    return form


def _excerpt(text: str, line: int | None) -> Iterator[tuple[int, str, bool]]:
    """Yield the lines around a fault: number, text, whether it is the one."""
    if line is None:
        return
    for number, words in enumerate(text.splitlines(), start=1):
        if abs(number - line) <= EXCERPT_LINES:
            yield number, words, number == line


def _text_to_begin_with(request: HttpRequest, active: PolicyVersion | None) -> str:
    number = request.GET.get("from", "")
    is_number = number.isascii() and number.isdigit() and len(number) < 10
    known = PolicyVersion.objects.filter(number=int(number)).first() if is_number else active
    return known.text if known else ""


def _version(number: int | None) -> PolicyVersion | None:
    if number is None:
        return active_version()
    version = PolicyVersion.objects.filter(number=number).first()
    if version is None:
        raise Http404
    return version
