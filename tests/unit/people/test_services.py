"""The verbs of people, and what each refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command

from aims.kit import clock
from aims.people import errors, queries, services, throttle
from aims.people.models import Ceremony, Invitation, Passkey, SignedInSession
from aims.people.tasks import drop_spent
from tests.support.soft_authenticator import Lies
from tests.unit.people.driver import BY, an_authenticator, enrolled, signed_in_response, use_link

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def _finish(response: str, *, bound_to: str = "session") -> Passkey:
    return services.finish_sign_in(response, bound_to=bound_to, source="192.0.2.1", now=clock.now())


def test_a_first_enrolment_may_approve_at_once_and_says_who_vouched() -> None:
    ada = enrolled()
    assert ada.key.vouched_by == BY
    assert ada.key.usable_from_at == ada.key.enrolled_at
    assert ada.key.enrolment_event
    later = clock.now()
    assert queries.passkeys_for_approval(ada.person, opened_at=later, now=later) == [ada.key]


def test_a_key_does_not_approve_what_was_opened_before_it() -> None:
    ada = enrolled()
    opened = ada.key.enrolled_at - timedelta(seconds=1)
    assert queries.passkeys_for_approval(ada.person, opened_at=opened, now=clock.now()) == []


def test_a_link_works_once() -> None:
    token = services.invite("ada@example.org", by=BY, now=clock.now())
    use_link(token)
    with pytest.raises(errors.LinkUnusable):
        services.begin_enrolment(token, now=clock.now())


def test_a_link_ends_after_24_hours() -> None:
    token = services.invite("ada@example.org", by=BY, now=clock.now())
    with clock.shifted(timedelta(hours=24)), pytest.raises(errors.LinkUnusable):
        use_link(token)


def test_a_newer_link_ends_the_older_one() -> None:
    old = services.invite("ada@example.org", by=BY, now=clock.now())
    services.invite("ADA@example.org", by=BY, now=clock.now())
    with pytest.raises(errors.LinkUnusable):
        use_link(old)


def test_a_refused_registration_leaves_the_link_unused() -> None:
    token = services.invite("ada@example.org", by=BY, now=clock.now())
    authenticator = an_authenticator()
    authenticator.lies = Lies(members={"origin": "https://evil.example"})
    answer = json.dumps(authenticator.create(services.begin_enrolment(token, now=clock.now())))
    with pytest.raises(errors.KeyRefused):
        services.enrol(token, answer, key_name="", now=clock.now())
    assert use_link(token).key


def test_a_challenge_of_one_link_is_no_good_for_another() -> None:
    mine = services.invite("ada@example.org", by=BY, now=clock.now())
    theirs = services.invite("cy@example.org", by=BY, now=clock.now())
    answer = json.dumps(an_authenticator().create(services.begin_enrolment(mine, now=clock.now())))
    with pytest.raises(errors.CeremonyGone):
        services.enrol(theirs, answer, key_name="", now=clock.now())
    assert Invitation.objects.filter(used_at=None).count() == 2


def test_recovery_ends_old_keys_and_sessions_tells_the_person_and_cools_down(
    django_capture_on_commit_callbacks: object,
) -> None:
    ada = enrolled()
    services.start_session(ada.key, session_key="k" * 32, user_agent="Browser", now=clock.now())
    token = services.recover(ada.person, by="usr_admin", now=clock.now())
    ada.key.refresh_from_db()
    assert ada.key.ended_at is None, "nothing ends before the link is used"
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        back = use_link(token)
    ada.key.refresh_from_db()
    assert ada.key.ended_by == "usr_admin"
    assert not SignedInSession.objects.exists()
    assert back.key.usable_from_at - back.key.enrolled_at == timedelta(hours=24)
    assert back.key.vouched_by == "usr_admin"
    assert [sent.to for sent in mail.outbox] == [["ada@example.org"]]
    now = clock.now()
    assert queries.passkeys_for_approval(ada.person, opened_at=now, now=now) == []
    with clock.shifted(timedelta(hours=25)):
        later = clock.now()
        assert queries.passkeys_for_approval(ada.person, opened_at=later, now=later) == [back.key]


def test_it_stays_recovery_after_an_admin_ended_the_last_key() -> None:
    ada = enrolled()
    services.end_passkey(ada.key, by="usr_admin", now=clock.now())
    back = use_link(services.recover(ada.person, by="usr_admin", now=clock.now()))
    assert back.key.usable_from_at > back.key.enrolled_at


def test_a_discoverable_key_signs_in_and_its_counter_moves() -> None:
    ada = enrolled()
    assert _finish(signed_in_response(ada)) == ada.key
    ada.key.refresh_from_db()
    assert ada.key.sign_count == 1
    assert ada.key.last_used_at is not None


def test_an_answer_signs_in_once() -> None:
    ada = enrolled()
    response = signed_in_response(ada)
    _finish(response)
    with pytest.raises((errors.CeremonyGone, errors.SignInRefused)):
        _finish(response)


def test_another_browsers_challenge_is_refused_and_stays_for_its_owner() -> None:
    ada = enrolled()
    response = signed_in_response(ada, bound_to="hers")
    with pytest.raises(errors.CeremonyGone):
        _finish(response, bound_to="thief")
    assert _finish(response, bound_to="hers") == ada.key


def test_a_late_answer_is_refused() -> None:
    ada = enrolled()
    response = signed_in_response(ada)
    with clock.shifted(timedelta(minutes=10)), pytest.raises(errors.CeremonyGone):
        _finish(response)


def test_no_flow_accepts_anothers_challenge() -> None:
    ada = enrolled()
    options = services.begin_adding(ada.person, bound_to="session", now=clock.now())
    with pytest.raises(errors.CeremonyGone):
        _finish(json.dumps(ada.authenticator.get(options["get"])))


def test_unknown_ended_and_deactivated_get_the_same_answer() -> None:
    ada, cy, ben = enrolled("ada@x.example"), enrolled("cy@x.example"), enrolled("ben@x.example")
    responses = [signed_in_response(somebody) for somebody in (ada, cy, ben)]
    Passkey.objects.filter(pk=ada.key.pk).delete()
    services.end_passkey(cy.key, by="usr_admin", now=clock.now())
    services.deactivate(ben.person, by="usr_admin", now=clock.now())
    said = set()
    for response in [*responses, "{}", "nonsense"]:
        with pytest.raises(errors.SignInRefused) as refused:
            _finish(response)
        said.add((refused.value.code, refused.value.public, refused.value.status))
    assert len(said) == 1


def test_sign_in_demands_the_user_handle() -> None:
    ada = enrolled()
    ada.authenticator.lies = Lies(response={"userHandle": None})
    with pytest.raises(errors.SignInRefused):
        _finish(signed_in_response(ada))


def test_a_copied_key_does_not_sign_in() -> None:
    ada = enrolled()
    _finish(signed_in_response(ada))
    ada.authenticator.credentials[0].sign_count = 0
    with pytest.raises(errors.SignInRefused):
        _finish(signed_in_response(ada))


def test_sign_in_is_throttled_by_address_and_recovers() -> None:
    for _ in range(throttle.FINISHES_PER_MINUTE):
        with pytest.raises(errors.SignInRefused):
            _finish("{}")
    with pytest.raises(errors.TooManyAttempts):
        _finish("{}")
    with clock.shifted(timedelta(minutes=1)), pytest.raises(errors.SignInRefused):
        _finish("{}")


def test_sign_in_is_throttled_by_key_from_many_addresses() -> None:
    ada = enrolled()
    ada.authenticator.lies = Lies(response={"signature": "AAAA"})
    for number in range(throttle.PER_KEY_PER_MINUTE + 1):
        expected = errors.TooManyAttempts if number == throttle.PER_KEY_PER_MINUTE else errors.SignInRefused
        response = signed_in_response(ada)
        with pytest.raises(expected):
            services.finish_sign_in(response, bound_to="session", source=f"192.0.2.{number}", now=clock.now())


def test_a_key_is_added_with_a_signature_of_an_existing_one() -> None:
    ada = enrolled()
    options = services.begin_adding(ada.person, bound_to="session", now=clock.now())
    assertion = json.dumps(ada.authenticator.get(options["get"]))
    made = json.dumps(an_authenticator().create(options["create"]))
    key = services.add_passkey(ada.person, assertion, made, key_name="Phone", bound_to="session", now=clock.now())
    assert (key.vouched_by, key.name) == (ada.person.ref, "Phone")
    assert key.usable_from_at == key.enrolled_at


def test_a_cookie_alone_adds_no_key() -> None:
    ada, thief = enrolled(), enrolled("cy@example.org")
    options = services.begin_adding(ada.person, bound_to="session", now=clock.now())
    made = json.dumps(an_authenticator().create(options["create"]))
    theirs = json.dumps(thief.authenticator.get(options["get"] | {"allowCredentials": []}))
    for assertion in ("", theirs):
        with pytest.raises(errors.KeyRefused):
            services.add_passkey(ada.person, assertion, made, key_name="", bound_to="session", now=clock.now())


def test_a_recovered_key_cannot_step_around_its_cool_down() -> None:
    ada = enrolled()
    back = use_link(services.recover(ada.person, by=BY, now=clock.now()))
    options = services.begin_adding(back.person, bound_to="session", now=clock.now())
    assertion = json.dumps(back.authenticator.get(options["get"]))
    made = json.dumps(an_authenticator().create(options["create"]))
    key = services.add_passkey(back.person, assertion, made, key_name="", bound_to="session", now=clock.now())
    assert key.usable_from_at == back.key.usable_from_at


def test_the_last_key_is_ended_by_an_admin_and_not_by_its_owner() -> None:
    ada = enrolled()
    with pytest.raises(errors.LastKey):
        services.end_passkey(ada.key, by=ada.person.ref, now=clock.now())
    services.end_passkey(ada.key, by="usr_admin", now=clock.now())
    with pytest.raises(errors.NotHeld):
        services.end_passkey(ada.key, by="usr_admin", now=clock.now())


def test_roles_count_from_when_they_are_given_until_they_end() -> None:
    ada = enrolled()
    now = clock.now()
    services.hold_role(ada.person, "approver", by=BY, now=now)
    assert queries.roles_held(ada.person, at=now - timedelta(seconds=1)) == frozenset()
    assert ada.person.has_role("approver")
    services.end_role(ada.person, "approver", by=BY, now=clock.now())
    assert queries.roles_held(ada.person, at=now) == {"approver"}
    assert not ada.person.has_role("approver")
    with pytest.raises(errors.NotHeld):
        services.end_role(ada.person, "approver", by=BY, now=clock.now())
    with pytest.raises(errors.FieldRefused):
        services.hold_role(ada.person, "emperor", by=BY, now=clock.now())


def test_groups_count_from_when_they_are_joined_until_they_are_left() -> None:
    ada = enrolled()
    now = clock.now()
    group = services.create_group("finance", "Finance", by=BY, now=now)
    services.join_group(group, ada.person, by=BY, now=now)
    assert queries.members_of("finance", at=now - timedelta(seconds=1)) == []
    assert queries.members_of("finance", at=clock.now()) == [ada.person]
    services.leave_group(group, ada.person, by=BY, now=clock.now())
    assert queries.members_of("finance", at=clock.now()) == []
    with pytest.raises(errors.GroupTaken):
        services.create_group("finance", "Again", by=BY, now=now)


def test_an_address_belongs_to_one_person() -> None:
    enrolled("ada@example.org")
    with pytest.raises(errors.EmailTaken):
        services.create_person(email="Ada@Example.org", name="Ada", by=BY, now=clock.now())


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "a\u202eb"}, {"locale": "tlh-XX"}, {"time_zone": "Mars/Base"}]
)
def test_a_nonsensical_profile_is_refused(change: dict[str, str]) -> None:
    ada = enrolled()
    with pytest.raises(errors.FieldRefused):
        services.change_profile(ada.person, by=BY, now=clock.now(), **change)


def test_a_deactivated_person_gets_no_link() -> None:
    ada = enrolled()
    services.deactivate(ada.person, by=BY, now=clock.now())
    with pytest.raises(errors.PersonInactive):
        services.recover(ada.person, by=BY, now=clock.now())
    services.reactivate(ada.person, by=BY, now=clock.now())
    assert services.recover(ada.person, by=BY, now=clock.now())


def test_spent_challenges_are_dropped() -> None:
    services.begin_sign_in(bound_to="session", source="192.0.2.1", now=clock.now())
    drop_spent()
    assert Ceremony.objects.count() == 1
    with clock.shifted(timedelta(minutes=11)):
        drop_spent()
    assert Ceremony.objects.count() == 0


def test_the_command_prints_a_link_and_vouches_as_the_operator(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("invite", "ada@example.org", "--role", "admin", "--name", "Ada")
    link = capsys.readouterr().out.strip()
    ada = use_link(link.rstrip("/").rpartition("/")[2])
    assert ada.key.vouched_by.startswith("cli:")
    assert ada.person.has_role("admin")
    assert ada.person.name == "Ada"
