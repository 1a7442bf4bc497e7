"""A second person's consent: signed over exactly what will happen, by another, used once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction

from aims.compliance import consent_bytes, errors
from aims.compliance.kinds import SPECS, ConsentKind, are_lawful
from aims.compliance.models import Consent, PreparedConsent
from aims.compliance.services import consents
from aims.kit import clock
from aims.kit.ids import b64url
from aims.people import services as people
from audit.canonical import decode
from audit.models import InboxRow
from tests.support.log import written_once
from tests.support.racing import ROUNDS, at_once
from tests.unit.people.driver import Somebody, enrolled

__all__ = ["written_once"]

A_DAY = timedelta(days=1)
HOLD = {"hold": "hold_1"}
ERASE = {"person": "usr_1", "basis": "request"}
RELEASE = ConsentKind.HOLD_RELEASE


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def somebody(name: str, *roles: str) -> Somebody:
    """Return a person who has held their roles and their key for a day."""
    return enrolled(f"{name}@example.org", *roles, now=clock.now() - A_DAY)


@pytest.fixture
def adm(db: None) -> Somebody:
    return somebody("adm", "admin")


@pytest.fixture
def bo(db: None) -> Somebody:
    """Another admin."""
    return somebody("bo", "admin")


@pytest.fixture
def ben(db: None) -> Somebody:
    return somebody("ben", "auditor")


@pytest.fixture
def cy(db: None) -> Somebody:
    return somebody("cy", "approver")


def asked(by: Somebody, kind: str = RELEASE, params: dict[str, Any] | None = None, **other: Any) -> Consent:
    given: dict[str, Any] = {"reason": "case_closed", "note": "", "now": clock.now()} | other
    return consents.ask(kind, HOLD if params is None else params, by=by.person, **given)


def signed(consent: Consent, who: Somebody, session: str = "session") -> str:
    options = consents.prepare(consent, person=who.person, session_key=session, locale="en", now=clock.now())
    return json.dumps(who.authenticator.get(options))


def confirm(consent: Consent, who: Somebody, session: str = "session", response: str | None = None) -> None:
    answer = signed(consent, who, session) if response is None else response
    consents.confirm(consent, person=who.person, session_key=session, response=answer, now=clock.now())


def use(consent: Consent, kind: ConsentKind = RELEASE, params: dict[str, Any] | None = None, **other: Any) -> Consent:
    with transaction.atomic():
        given: dict[str, Any] = {"by": "usr_adm", "now": clock.now()} | other
        return consents.use(consent.ref, kind=kind, params=HOLD if params is None else params, **given)


def said() -> list[dict[str, Any]]:
    return [decode(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]


def test_one_asks_another_signs_and_the_verb_uses_it_once(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm, note="Case 12 is closed: nobody asked for it in two years.")
    confirm(consent, ben)
    used = use(consent)
    assert used.state == "used" and used.confirmed_by == ben.person
    with pytest.raises(errors.ConsentMissing):
        use(consent)
    entries = [entry for entry in said() if entry["type"].startswith("compliance.")]
    assert [entry["type"].split(".")[-1] for entry in entries] == ["asked", "confirmed", "used"]
    assert entries[1]["by"] == ben.person.ref and entries[2]["data"]["confirmed_by"] == ben.person.ref
    assert b"Case 12" not in b"".join(bytes(row.payload) for row in InboxRow.objects.all()), "the note stays outside"


def test_what_was_signed_is_the_statement_that_is_kept(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    confirm(consent, ben)
    consent.refresh_from_db()
    context = consent_bytes.parse_context(bytes(consent.context or b""))
    statement = consent_bytes.parse_statement(bytes(consent.statement))
    assert context.statement_hash == consent.statement_hash and context.person == ben.person.ref
    assert statement.params == HOLD and statement.asked_by == adm.person.ref and statement.consent == consent.ref
    challenge = json.loads(bytes(consent.client_data_json or b""))["challenge"]
    assert challenge == b64url(consent_bytes.challenge_of(bytes(consent.context or b"")))


def test_who_asked_can_neither_consent_nor_refuse(adm: Somebody) -> None:
    consent = asked(adm)
    with pytest.raises(errors.NotAnother):
        consents.prepare(consent, person=adm.person, session_key="s", locale="en", now=clock.now())
    with pytest.raises(errors.NotAnother):
        confirm(consent, adm, response="{}")
    with pytest.raises(errors.NotAnother):
        consents.deny(consent, person=adm.person, now=clock.now())
    assert [entry["data"]["reason"] for entry in said() if entry["type"].endswith("refused")] == ["not_another"] * 2


def test_a_stranger_and_a_role_the_kind_does_not_name_are_refused(adm: Somebody, ben: Somebody, cy: Somebody) -> None:
    for consent, who in ((asked(adm), cy), (asked(adm, ConsentKind.PERSON_ERASE, ERASE), ben)):
        with pytest.raises(errors.NotEntitled):
            confirm(consent, who)
        with pytest.raises(errors.NotEntitled):
            consents.deny(consent, person=who.person, now=clock.now())


def test_a_role_or_a_key_that_came_after_the_question_does_not_count(adm: Somebody, cy: Somebody) -> None:
    consent = asked(adm)
    people.hold_role(cy.person, "auditor", by="usr_adm", now=clock.now())
    with pytest.raises(errors.NotEntitled):
        confirm(consent, cy)
    late = enrolled("late@example.org", now=clock.now() + A_DAY)
    people.hold_role(late.person, "auditor", by="usr_adm", now=consent.asked_at - A_DAY)
    with pytest.raises(errors.NoKeyForConsent):
        confirm(consent, late)


def test_a_role_that_ended_meanwhile_does_not_count(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    answer = signed(consent, ben)
    people.end_role(ben.person, "auditor", by="usr_adm", now=clock.now())
    with pytest.raises(errors.NotEntitled):
        confirm(consent, ben, response=answer)


def test_an_auditor_before_a_part_of_the_log_does_not_consent_for_all_of_it(adm: Somebody) -> None:
    terms = people.SeatTerms(
        is_guest=True,
        until_at=clock.now() + A_DAY,
        agents=("spiffe://a/b",),
        period_since_at=None,
        period_until_at=None,
    )
    eve = enrolled("eve@example.org", now=clock.now() - A_DAY)
    people.open_seat(eve.person, terms, by="usr_adm", now=clock.now() - timedelta(hours=1))
    with pytest.raises(errors.NotEntitled):
        confirm(asked(adm), eve)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("log.delete", {}),
        (RELEASE, {}),
        (RELEASE, {"hold": 1}),
        (RELEASE, {"hold": "hold_1", "more": "x"}),
        (RELEASE, {"hold": "two words"}),
        (RELEASE, {"hold": ""}),
        (RELEASE, {"hold": "x" * 2049}),
        (ConsentKind.RETENTION_SHORTEN, {"months": True, "months_before": 13}),
        (ConsentKind.RETENTION_SHORTEN, {"months": 6.0, "months_before": 13}),
    ],
)
def test_what_is_no_action_of_ours_is_not_asked(adm: Somebody, kind: str, params: dict[str, Any]) -> None:
    with pytest.raises(errors.ActionUnknown):
        asked(adm, kind, params)
    assert not Consent.objects.exists()


def test_asking_needs_an_admin_a_reason_and_printable_words(adm: Somebody, ben: Somebody) -> None:
    with pytest.raises(errors.MayNotAsk):
        asked(ben)
    with pytest.raises(errors.ActionUnknown):
        asked(adm, reason="because")
    for reason, note in (("other", " "), ("law", "a\x00b"), ("law", "\u202e"), ("law", "x" * (consents.NOTE_MAX + 1))):
        with pytest.raises(errors.NoteRefused):
            asked(adm, reason=reason, note=note)


def test_nobody_keeps_more_questions_open_than_the_limit(adm: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents, "OPEN_MAX", 2)
    asked(adm), asked(adm)
    with pytest.raises(errors.TooManyOpen):
        asked(adm)


def test_other_bytes_than_the_prepared_ones_confirm_nothing(adm: Somebody, bo: Somebody, ben: Somebody) -> None:
    consent, other = asked(adm), asked(adm)
    answer = signed(consent, ben)
    with pytest.raises(errors.ContextGone):
        confirm(other, ben, response=answer)
    with pytest.raises(errors.ContextGone):
        confirm(consent, ben, session="another", response=answer)
    with pytest.raises(errors.SignatureRefused):
        confirm(consent, bo, response=answer)
    signed(consent, ben)  # a reload: the older challenge is worth nothing now
    with pytest.raises(errors.ContextGone):
        confirm(consent, ben, response=answer)
    for broken in ("", "{}", "null", "[]", "x" * 10_000):
        with pytest.raises(errors.SignatureRefused):
            confirm(consent, ben, response=broken)
    assert not Consent.objects.exclude(state="asked").exists()


def test_a_challenge_of_another_flow_is_not_taken(adm: Somebody, ben: Somebody) -> None:
    options = people.begin_sign_in(bound_to="session", source="192.0.2.1", now=clock.now())
    with pytest.raises(errors.ContextGone):
        confirm(asked(adm), ben, response=json.dumps(ben.authenticator.get(options)))


def test_a_context_past_its_time_or_used_is_gone(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    answer = signed(consent, ben)
    late = clock.now() + timedelta(seconds=consent_bytes.LIFETIME_MAX_S)
    with pytest.raises(errors.ContextGone):
        consents.confirm(consent, person=ben.person, session_key="session", response=answer, now=late)
    confirm(consent, ben, response=answer)
    assert not PreparedConsent.objects.exists()
    with pytest.raises(errors.ConsentOver):
        confirm(Consent.objects.get(), ben, response=answer)


def test_only_exactly_what_was_signed_can_be_done(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    with pytest.raises(errors.ConsentMissing):
        use(consent)  # not confirmed yet
    confirm(consent, ben)
    for kind, params in ((RELEASE, {"hold": "hold_2"}), (ConsentKind.PERSON_ERASE, ERASE)):
        with pytest.raises(errors.ConsentMissing):
            use(consent, kind, params)
    with pytest.raises(errors.ConsentMissing):
        use(consent, now=consent.expires_at)
    assert use(consent).state == "used"


def test_an_action_that_fails_leaves_its_consent_unused(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    confirm(consent, ben)

    def act() -> None:
        with transaction.atomic():
            use(consent)
            raise errors.MayNotAsk(detail="the action itself failed")

    with pytest.raises(errors.MayNotAsk):
        act()
    assert Consent.objects.get().state == "confirmed"


def test_anybody_entitled_stops_it_until_it_is_used(adm: Somebody, bo: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    confirm(consent, ben)
    consents.deny(consent, person=bo.person, now=clock.now())
    assert said()[-1]["data"]["was_confirmed"] is True and said()[-1]["decision"] == "deny"
    with pytest.raises(errors.ConsentMissing):
        use(consent)
    with pytest.raises(errors.ConsentOver):
        consents.deny(consent, person=ben.person, now=clock.now())


def test_who_asked_withdraws_and_nobody_else(adm: Somebody, bo: Somebody) -> None:
    consent = asked(adm)
    with pytest.raises(errors.NotAnother):
        consents.withdraw(consent, person=bo.person, now=clock.now())
    consents.withdraw(consent, person=adm.person, now=clock.now())
    assert Consent.objects.get().state == "withdrawn"
    with pytest.raises(errors.ConsentOver):
        confirm(Consent.objects.get(), bo)


def test_after_72_hours_it_is_over_swept_or_not(adm: Somebody, ben: Somebody) -> None:
    consent = asked(adm)
    confirm(consent, ben)
    with pytest.raises(errors.ConsentOver):
        consents.deny(consent, person=ben.person, now=consent.expires_at)
    assert consents.expire_due(consent.expires_at - timedelta(seconds=1)) == 0
    assert consents.expire_due(consent.expires_at) == 1 and consents.expire_due(consent.expires_at) == 0
    assert Consent.objects.get().state == "expired" and said()[-1]["type"] == "compliance.consent.expired"


def test_the_database_itself_stores_no_unsigned_consent_and_none_of_the_asker(adm: Somebody) -> None:
    consent = asked(adm)
    for values in ({"state": "confirmed"}, {"confirmed_by": adm.person}, {"state": "agreed"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Consent.objects.filter(pk=consent.pk).update(**values)


def test_every_kind_names_who_may_consent_and_what_it_is_told_by() -> None:
    assert SPECS.keys() == set(ConsentKind)
    for kind, spec in SPECS.items():
        assert spec.confirmers and spec.params
        sample = {name: "x" if of_type is str else 1 for name, (of_type, _label) in spec.params.items()}
        assert are_lawful(kind, sample)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"typ":"aims-consent-statement"}', b'{"a": 1}'])
def test_bytes_that_are_none_of_ours_are_refused(raw: bytes) -> None:
    for parse in (consent_bytes.parse_statement, consent_bytes.parse_context):
        with pytest.raises(consent_bytes.ConsentBytesRefused):
            parse(raw)


@pytest.mark.django_db(transaction=True)
@pytest.mark.scaled
def test_one_consent_used_twice_at_once_is_used_once() -> None:
    adm, ben = somebody("adm", "admin"), somebody("ben", "auditor")
    for _round in ROUNDS:
        consent = asked(adm)
        confirm(consent, ben)
        results = at_once(partial(use, consent), partial(use, consent))
        assert sum(isinstance(result, errors.ConsentMissing) for result in results) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.scaled
def test_yes_against_no_at_once_has_one_order_and_the_no_holds() -> None:
    adm, bo, ben = somebody("adm", "admin"), somebody("bo", "admin"), somebody("ben", "auditor")
    for _round in ROUNDS:
        consent = asked(adm)
        answer = signed(consent, ben)
        results = at_once(
            partial(confirm, consent, ben, response=answer),
            partial(consents.deny, consent, person=bo.person, now=clock.now()),
        )
        assert Consent.objects.get(pk=consent.pk).state == "denied", "a yes can be stopped, a no can't be undone"
        assert results[1] is None
        with pytest.raises(errors.ConsentMissing):
            use(consent)


@pytest.mark.django_db(transaction=True)
@pytest.mark.scaled
def test_two_yeses_at_once_are_one() -> None:
    adm, bo, ben = somebody("adm", "admin"), somebody("bo", "admin"), somebody("ben", "auditor")
    for _round in ROUNDS:
        consent = asked(adm)
        answers = [(who, signed(consent, who)) for who in (bo, ben)]
        results = at_once(*(partial(confirm, consent, who, response=answer) for who, answer in answers))
        assert sum(isinstance(result, errors.ConsentOver) for result in results) == 1
