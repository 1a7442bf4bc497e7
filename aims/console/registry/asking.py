"""Asking once more before something that is hard to undo: in a dialog, or on a page of its own where there is no script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from aims.identifier.errors import FieldRefused
from aims.kit.errors import AimsError


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. href: where it is asked without a script, and where the answer goes. reason: label of a text.

    points: what will happen, one line each. back: where one goes on, whatever the answer.
    """

    id: str
    href: str
    back: str
    button: str
    title: str
    text: str
    confirm: str
    points: tuple[str, ...] = ()
    tone: str = "danger"
    reason: str = ""


def ask(request: HttpRequest, question: Question, *, act: Callable[[str], str]) -> HttpResponse:
    """Ask on GET; on POST act, and say on the next page what happened. act: takes the reason, returns what to say."""
    if request.method != "POST":
        return _page(request, question, status=200)
    reason = request.POST.get("reason", "")
    try:
        said = act(reason)
    except FieldRefused as error:
        return _page(request, question, status=422, said=reason, error=_(error.public))
    except AimsError as error:
        messages.error(request, _(error.public))
    else:
        messages.success(request, said)
    return HttpResponseRedirect(question.back)


def _page(request: HttpRequest, question: Question, *, status: int, said: str = "", error: str = "") -> HttpResponse:
    shown = {"question": question, "said": said, "error": error}
    return render(request, "registry/ask.html", shown, status=status)
