"""The page of requirements and the scorecard. Reading them is recorded: they tell what stands in the log."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from aims.compliance import reporting, scorecard
from aims.compliance.asked import PERIOD_DEFAULT, Asked, Period
from aims.compliance.events import ReportViewed
from aims.compliance.evidence import State, rank
from aims.compliance.measures import MEASURES
from aims.compliance.reporting import Answer, Section
from aims.compliance.scorecard import Card, Layer
from aims.compliance.services.measuring import measure_house
from aims.compliance.views.frame import Tab, admins_only, readers_only, tabs
from aims.compliance.words import WORDS
from aims.kit import clock
from aims.people.access import person_of
from aims.people.models import User
from aims.people.views.answers import done
from audit.read import scope_of
from audit.write import NOBODY, record_alone

DAYS = (30, 90, 365)
_DRAFT = "aims"


@require_safe
@readers_only
def requirements(request: HttpRequest) -> HttpResponseBase:
    """Show each requirement, what evidence there is, how fresh, and where the gap is."""
    person, now, days = person_of(request), clock.now(), _days(request)
    scope = scope_of(person)
    if days == PERIOD_DEFAULT.days:
        report = reporting.kept_report(scope=scope, now=now)
    else:
        report = reporting.report(Period.last(timedelta(days=days), now=now), scope=scope, now=now)
    note_viewed(person, "report", report.period)
    shown = {
        "report": report,
        "until": report.period.until_at - timedelta(days=1),
        "sections": [_section(section) for section in report.sections],
        "periods": [_period(each, days) for each in DAYS],
        "is_admin": person.has_role("admin"),
        "is_cut": not report.is_whole,
        "tabs": tabs(person, "compliance"),
    }
    return render(request, "compliance/requirements.html", shown)


@require_POST
@admins_only
def measure_again(request: HttpRequest) -> HttpResponseRedirect:
    """Measure the house now instead of within the hour."""
    measure_house(clock.now())
    return done(request, _("Measured just now."), "/compliance/")


@require_safe
@readers_only
def fleet(request: HttpRequest) -> HttpResponseBase:
    """Show the agents, layer by layer, the worst first."""
    person, now = person_of(request), clock.now()
    asked = Asked(period=Period.last(PERIOD_DEFAULT, now=now), scope=scope_of(person), now=now)
    cards = scorecard.fleet(asked)
    order = request.GET.get("by", "")
    if order in list(Layer):
        cards.sort(key=lambda card: -rank(card.of(Layer(order)).state))
    elif order == "name":
        cards.sort(key=lambda card: card.agent.name)
    note_viewed(person, "fleet", asked.period)
    shown = {
        "cards": [_card(card) for card in cards],
        "layers": [{"title": scorecard.TITLES[layer], "value": str(layer)} for layer in Layer],
        "by": order,
        "counts": [{**_state(state), "n": sum(card.state == state for card in cards)} for state in State],
        "is_full": len(cards) == scorecard.AGENTS_MAX,
        "days": PERIOD_DEFAULT.days,
        "tabs": tabs(person, "compliance-fleet"),
    }
    return render(request, "compliance/fleet.html", shown)


def note_viewed(person: User, page: str, period: Period) -> None:
    """Record that a person read what was measured."""
    until = period.until_at - timedelta(days=1)
    event = ReportViewed(page=page, at=None, since=f"{period.since_at:%Y-%m-%d}", until=f"{until:%Y-%m-%d}")
    record_alone(event, by=person.ref, facts=NOBODY)


def _days(request: HttpRequest) -> int:
    text = request.GET.get("days", "")
    return int(text) if text in map(str, DAYS) else PERIOD_DEFAULT.days


def _period(days: int, shown: int) -> Tab:
    return Tab(label=_("%(n)s days") % {"n": days}, href=f"?days={days}", is_current=days == shown)


def _section(section: Section) -> dict[str, object]:
    counts = [{**_state(state), "n": section.count(state)} for state in State if section.count(state)]
    answers = [_answer(answer) for answer in section.answers]
    return {"set": section.set, "answers": answers, "counts": counts, "is_open": section.set.id == _DRAFT}


def _answer(answer: Answer) -> dict[str, object]:
    rows = [{**_state(each.state), "evidence": each, "title": MEASURES[each.name].title} for each in answer.evidence]
    return {**_state(answer.state), "control": answer.control, "rows": rows}


def _card(card: Card) -> dict[str, object]:
    cells = [{**_state(standing.state), "standing": standing} for standing in card.standings]
    return {**_state(card.state), "agent": card.agent, "cells": cells}


def _state(state: State) -> dict[str, str]:
    word, tone = WORDS[state]
    return {"state": str(state), "word": _(word), "tone": tone}
