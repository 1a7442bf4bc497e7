"""Every measure with evidence and without: none claims more than it measured."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from aims.authorization.models import Application
from aims.compliance import reporting
from aims.compliance.asked import PERIOD_DEFAULT, Asked, Period, midnight
from aims.compliance.controls import AIMS, control_sets
from aims.compliance.evidence import State, worst
from aims.compliance.measures import MEASURES
from aims.compliance.measures.table import HOUSE, LOG, measured
from aims.compliance.models import Measurement
from aims.compliance.scorecard import Layer, fleet
from aims.compliance.services.measuring import measure_house
from aims.credentials.models import RegisteredKey, TrustBundle
from aims.identifier.models import TrustDomain
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from audit.models import Checkpoint, Rollup
from audit.read import EVERYTHING, Scope
from audit.sequencer import Sequencer
from tests.support.cast import Acting, browser_of, someone
from tests.support.log import Recorder, happen, log_key, sequencer
from tests.unit.people.driver import enrolled

__all__ = ["happen", "log_key", "sequencer"]

pytestmark = pytest.mark.django_db
COURIER = "spiffe://acme.example/agent/courier"
# A kind of entry that each measure of the log counts, with its decision.
COUNTED = {
    "decisions_recorded": ("authorization.token.issued", "allow"),
    "denials_recorded": ("authorization.token.refused", "deny"),
    "approvals_signed": ("approvals.decision.approved", "approve"),
    "approvals_refused": ("approvals.decision.denied", "deny"),
    "approvals_redeemed": ("authorization.request.redeemed", "allow"),
    "tokens_issued": ("authorization.token.issued", "allow"),
    "tokens_exchanged": ("authorization.token.exchanged", "allow"),
    "domains_crossed": ("authorization.foreign_grant.issued", "allow"),
    "use_reported": ("observability.event.reported", "not_applicable"),
    "findings_raised": ("observability.finding.raised", "not_applicable"),
    "rights_ended": ("authorization.grant.revoked", "not_applicable"),
    "replays_noticed": ("authorization.code.reused", "deny"),
    "strangers_counted": ("audit.failures.counted", "not_applicable"),
    "administration_recorded": ("identifier.agent.registered", "not_applicable"),
    "keys_rotated": ("credentials.keys.registered", "not_applicable"),
    "reading_recorded": ("audit.log.viewed", "not_applicable"),
    "exports_taken": ("audit.export.finished", "not_applicable"),
    "policy_changed": ("policy.version.activated", "not_applicable"),
    "consents_asked": ("compliance.consent.asked", "ask"),
    "posture_recorded": ("posture.agent.assessed", "not_applicable"),
}
MUST_BE = {"decisions_recorded", "use_reported", "administration_recorded", "posture_recorded"}


def asking(scope: Scope = EVERYTHING, ahead: timedelta = timedelta()) -> Asked:
    now = clock.now() + ahead
    return Asked(period=Period.last(PERIOD_DEFAULT, now=now), scope=scope, now=now)


def counted(type: str, decision: str = "", *, agent: str = COURIER, days_ago: int = 0, n: int = 3) -> None:
    """Let the log have counted entries on a day."""
    at = midnight(clock.now()) - timedelta(days=days_ago)
    key = hashlib.sha256(f"{type} {decision} {agent}".encode()).digest()[:16]
    Rollup.objects.create(hour=at, key=key, agent=agent, type=type, decision=decision, resource="", n=n)


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_what_the_log_counted_is_evidence_and_nothing_is_not(name: str) -> None:
    without = measured(name, asking())
    assert (without.count, without.newest_at) == (0, None)
    assert without.state == (State.GAP if name in MUST_BE else State.UNKNOWN)
    counted(*COUNTED[name])
    found = measured(name, asking())
    assert (found.count, found.state) == (3, State.GOOD) and found.newest_at == midnight(clock.now())


def test_every_measure_of_the_log_is_tested_with_and_without() -> None:
    of_log = {name for name, each in MEASURES.items() if each.of == LOG}
    assert of_log == COUNTED.keys() | {"kept_6_months", "kept_12_months"}


def test_what_is_old_is_stale_and_what_is_out_of_the_period_is_not_counted() -> None:
    counted("authorization.token.issued", "allow", days_ago=60)
    assert measured("tokens_issued", asking()).state == State.STALE
    assert measured("tokens_issued", asking(ahead=timedelta(days=60))).count == 0


def test_a_scope_cuts_what_is_counted_and_the_house_is_not_measured_for_it() -> None:
    counted("authorization.token.issued", "allow")
    counted("authorization.token.issued", "allow", agent="spiffe://acme.example/agent/magpie", n=100)
    only = Scope(agents=frozenset({COURIER}), since_at=None, until_at=None)
    assert measured("tokens_issued", asking(only)).count == 3
    before = Scope(agents=None, since_at=None, until_at=midnight(clock.now()))
    assert measured("tokens_issued", asking(before)).count == 0
    for name, each in MEASURES.items():
        if each.of == HOUSE:
            found = measured(name, asking(only))
            assert (found.count, found.state) == (0, State.UNKNOWN) and "seat" in found.why and not found.href


def test_how_long_the_log_is_kept_is_unknown_until_it_is_that_old(sequencer: Sequencer, happen: Recorder) -> None:
    assert measured("kept_6_months", asking()).state == State.GAP
    happen(1)
    sequencer.run_once()
    assert measured("kept_6_months", asking()).state == State.UNKNOWN
    later = asking(ahead=timedelta(days=200))
    assert measured("kept_6_months", later).state == State.GOOD
    assert measured("kept_12_months", later).state == State.UNKNOWN


def test_a_signed_log_is_good_and_one_that_stands_still_is_a_gap(sequencer: Sequencer, happen: Recorder) -> None:
    assert measured("log_signed", asking()).state == State.GAP
    happen(1)
    sequencer.run_once()
    found = measured("log_signed", asking())
    assert (found.state, found.count) == (State.GOOD, Checkpoint.objects.order_by("-size")[0].size)
    happen(1)
    assert measured("log_signed", asking(ahead=timedelta(minutes=5))).state == State.GAP


def test_the_strength_of_the_log_is_said_as_it_is(settings: Any) -> None:
    settings.CHECKPOINT_DIR = ""
    assert measured("log_witnessed", asking()).state == State.GAP


def test_policy_is_evidence_only_where_one_is_in_force_and_reviewed(pay: object) -> None:
    assert measured("policy_in_force", asking()).state == State.GOOD
    assert measured("policy_reviewed", asking()).state == State.GAP
    counted("policy.version.reviewed")
    assert measured("policy_reviewed", asking()).state == State.GOOD


def test_without_a_policy_there_is_a_gap() -> None:
    assert measured("policy_in_force", asking()).state == State.GAP


def test_people_are_counted_who_can_sign_now() -> None:
    assert measured("people_phishing_resistant", asking()).state == State.UNKNOWN
    assert measured("overseers_named", asking()).state == measured("admins_two", asking()).state == State.GAP
    ada = enrolled("ada@example.org", "approver", "admin")
    assert measured("people_phishing_resistant", asking()).state == State.GOOD
    assert measured("overseers_named", asking()).count == 1
    assert measured("admins_two", asking()).state == State.GAP, "one admin is not two"
    enrolled("bo@example.org", "admin")
    assert measured("admins_two", asking()).state == State.GOOD
    people.deactivate(ada.person, by="cli:t", now=clock.now())
    assert measured("overseers_named", asking()).state == State.GAP


def test_a_guests_seat_is_evidence_until_it_ends() -> None:
    assert measured("seats_end", asking()).state == State.UNKNOWN
    now = clock.now()
    terms = people.SeatTerms(
        is_guest=True, until_at=now + timedelta(days=1), agents=None, period_since_at=None, period_until_at=None
    )
    people.open_seat("eve@audit.example", terms, by="cli:t", now=now)
    assert (measured("seats_end", asking()).count, measured("seats_end", asking()).state) == (1, State.GOOD)
    assert measured("seats_end", asking(ahead=timedelta(days=2))).count == 0


def test_bundles_that_could_not_be_fetched_need_a_look(pay: object) -> None:
    assert measured("bundles_fresh", asking()).state == State.UNKNOWN
    domain = TrustDomain.objects.get()
    bundle = TrustBundle.objects.create(trust_domain=domain, document={"keys": []}, changed_at=clock.now())
    assert measured("bundles_fresh", asking()).state == State.GOOD
    TrustBundle.objects.filter(pk=bundle.pk).update(failure="refused")
    assert measured("bundles_fresh", asking()).state == State.STALE


@pytest.mark.parametrize("name", ["clock_checked", "training_recorded", "values_erasable"])
def test_what_nobody_measured_is_not_known(name: str) -> None:
    assert measured(name, asking()).state == State.UNKNOWN


def test_erasures_are_counted_once_there_are_any() -> None:
    counted("people.person.erased")
    assert measured("values_erasable", asking()).count == 3


def test_the_fleet_is_measured_layer_by_layer(courier: Acting, magpie: Acting) -> None:
    counted("authorization.token.issued", "allow")
    for name, state in {
        "agents_identified": State.STALE,  # Magpie is suspended
        "agents_key_bound": State.GOOD,
        "keys_fresh": State.GOOD,
        "agents_authenticated": State.UNKNOWN,  # Magpie got no token
        "grants_used": State.STALE,
        "agents_observed": State.STALE,  # tokens, and nothing was reported
        "agents_owned": State.GOOD,
        "no_static_secrets": State.UNKNOWN if not Application.objects.exists() else State.GOOD,
        "grants_bounded": State.GOOD,
        "stop_works": State.STALE,
    }.items():
        assert measured(name, asking()).state == state, name
    counted("identifier.agent.suspended", "not_applicable")
    assert measured("stop_works", asking()).state == State.GOOD


def test_the_fleet_shows_gaps_as_gaps(courier: Acting, ada: User) -> None:
    RegisteredKey.objects.update(ended_at=clock.now())
    people.deactivate(ada, by="cli:t", now=clock.now())
    assert measured("agents_key_bound", asking()).state == State.GAP
    assert measured("agents_owned", asking()).state == State.GAP
    card = fleet(asking())[0]
    assert card.of(Layer.CREDENTIALS).href.endswith("#keys") and card.of(Layer.AUTHENTICATION).state == State.GAP
    assert card.of(Layer.COMPLIANCE).state == card.state == State.GAP
    assert fleet(asking(Scope(agents=frozenset(), since_at=None, until_at=None))) == []


def test_no_agents_are_no_evidence() -> None:
    for name in ("agents_identified", "agents_owned", "no_static_secrets", "grants_bounded"):
        assert measured(name, asking()).state == State.UNKNOWN


def test_an_old_key_needs_a_look_and_the_worst_agent_stands_first(courier: Acting, magpie: Acting) -> None:
    at = clock.now() - timedelta(days=91)
    RegisteredKey.objects.filter(holder_ref=magpie.agent.ref).update(registered_at=at)
    cards = fleet(asking())
    assert [card.agent.name for card in cards] == ["Magpie", "Courier"]
    assert cards[0].of(Layer.PROVISIONING).state == State.STALE
    assert len(cards[0].standings) == len(Layer)


def test_a_fleet_of_any_size_costs_the_same_questions(courier: Acting, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(7):
        fleet(asking())


def test_controls_name_measures_that_there_are_and_say_where_none_is() -> None:
    sets = control_sets()
    assert sets[0].id == AIMS and len({each.id for each in sets}) == len(sets) == 12
    named = {name for each in sets for control in each.controls for name in control.measures}
    assert named == MEASURES.keys(), "each measure is evidence for something, and each control's exists"
    for each in sets:
        assert each.source and each.dated and each.needs_legal_check == (each.id != AIMS)
        assert len({control.id for control in each.controls}) == len(each.controls)
        for control in each.controls:
            assert bool(control.measures) != bool(control.unmeasured), control.id
    draft = sets[0].controls
    assert {control.layer for control in draft} == {str(layer) for layer in Layer}
    assert {control.level for control in draft} == {"MUST", "MUST NOT", "SHOULD", "MAY", "note"}


def test_every_link_of_evidence_leads_somewhere(courier: Acting) -> None:
    admin = browser_of(someone("Root", "admin"))
    hrefs = {measured(name, asking()).href.split("?")[0].split("#")[0] for name in MEASURES} - {""}
    cards = fleet(asking())
    hrefs |= {standing.href.split("?")[0].split("#")[0] for card in cards for standing in card.standings}
    assert {reverse("compliance-fleet"), "/audit/"} <= hrefs
    for href in sorted(hrefs):
        assert admin.get(href).status_code == 200, href


def test_the_report_is_kept_by_the_sweep_for_the_whole_house_only(pay: object, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    measure_house(now)
    counted("authorization.token.issued", "allow")
    short = reporting.kept_report(scope=EVERYTHING, now=now)
    assert reporting.all_evidence(short.sections)["tokens_issued"].count == 3, "a short log is measured as one asks"
    monkeypatch.setattr(reporting, "KEPT_FROM", 0)
    kept = reporting.kept_report(scope=EVERYTHING, now=now + timedelta(minutes=5))
    assert kept.measured_at == Measurement.objects.get().measured_at == now
    assert reporting.all_evidence(kept.sections)["tokens_issued"].count == 0
    fresh = reporting.report(kept.period, scope=EVERYTHING, now=now)
    assert reporting.all_evidence(fresh.sections)["tokens_issued"].count == 3
    only = Scope(agents=frozenset({COURIER}), since_at=None, until_at=None)
    cut = reporting.kept_report(scope=only, now=now)
    assert not cut.is_whole and reporting.all_evidence(cut.sections)["tokens_issued"].count == 3
    Measurement.objects.update(evidence={})
    assert reporting.kept_report(scope=EVERYTHING, now=now).sections, "another version's cache is not believed"


def test_the_worst_evidence_decides_and_none_is_unknown() -> None:
    assert worst([]) == State.UNKNOWN
    assert worst([State.GOOD, State.UNKNOWN]) == State.UNKNOWN
    assert worst([State.GOOD, State.GAP, State.STALE]) == State.GAP
