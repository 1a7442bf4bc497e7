"""The last admin who can sign in stays an admin who can sign in, whoever asks, and two at once too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache

from aims.kit import clock
from aims.people import errors, services
from aims.people.models import Passkey, Role, User
from aims.people.services import deactivate, end_passkey, end_role
from audit.models import InboxRow
from tests.protocol.api.conftest import Desk, problem_of
from tests.protocol.api.conftest import desk as desk
from tests.support.log import written_once
from tests.support.racing import ROUNDS, at_once
from tests.unit.people.driver import BY, Somebody, browser_of, enrolled, use_link

__all__ = ["desk", "written_once"]

Ending = Callable[[Somebody, str], None]
PAGES = pytest.mark.urls("tests.unit.people.urls")


def _ends_role(admin: Somebody, by: str) -> None:
    end_role(admin.person, "admin", by=by, now=clock.now())


def _deactivates(admin: Somebody, by: str) -> None:
    deactivate(admin.person, by=by, now=clock.now())


def _ends_key(admin: Somebody, by: str) -> None:
    end_passkey(admin.key, by=by, now=clock.now())


WAYS = pytest.mark.parametrize("end", [_ends_role, _deactivates, _ends_key], ids=["role", "access", "passkey"])


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def adm(db: None) -> Somebody:
    return enrolled("adm@example.org", "admin")


def able() -> int:
    """Return how many admins could sign in now."""
    holding = User.objects.filter(is_active=True, role_holdings__role=Role.ADMIN, role_holdings__until_at=None)
    return holding.filter(pk__in=Passkey.objects.filter(ended_at=None).values("person")).count()


@WAYS
def test_the_last_admin_stays_and_nothing_is_written(adm: Somebody, end: Ending) -> None:
    enrolled("cy@example.org", "owner", "approver", "auditor")
    before = InboxRow.objects.count()
    with pytest.raises(errors.LastAdmin) as refused:
        end(adm, BY)
    assert "manage.py invite EMAIL --role admin" in refused.value.public
    assert (able(), InboxRow.objects.count()) == (1, before)


@WAYS
def test_one_of_two_admins_can_go_and_the_other_stays(adm: Somebody, end: Ending) -> None:
    other = enrolled("other@example.org", "admin")
    end(adm, other.person.ref)
    with pytest.raises(errors.LastAdmin):
        end(other, BY)
    assert able() == 1


@WAYS
def test_an_admin_who_never_enrolled_does_not_count_as_another(adm: Somebody, end: Ending) -> None:
    services.invite("soon@example.org", roles=["admin"], by=BY, now=clock.now())
    with pytest.raises(errors.LastAdmin):
        end(adm, BY)


@WAYS
def test_an_admin_who_was_shut_out_does_not_count_as_another(adm: Somebody, end: Ending) -> None:
    out = enrolled("out@example.org", "admin")
    _deactivates(out, BY)
    with pytest.raises(errors.LastAdmin):
        end(adm, BY)
    _ends_role(out, BY)  # who is out already is missed by nobody


def test_of_admins_who_were_only_invited_all_but_one_can_go(db: None) -> None:
    for name in ("one", "two"):
        services.invite(f"{name}@example.org", roles=["admin"], by=BY, now=clock.now())
    one, two = User.objects.order_by("pk")
    end_role(one, "admin", by=BY, now=clock.now())
    with pytest.raises(errors.LastAdmin):
        deactivate(two, by=BY, now=clock.now())


def test_another_role_and_another_key_of_the_last_admin_can_end(adm: Somebody) -> None:
    services.hold_role(adm.person, "owner", by=BY, now=clock.now())
    end_role(adm.person, "owner", by=BY, now=clock.now())
    with pytest.raises(errors.NotHeld):
        end_role(adm.person, "owner", by=BY, now=clock.now())


def test_a_recovery_link_for_the_last_admin_works(adm: Somebody) -> None:
    token = services.recover(adm.person, by=BY, now=clock.now())
    assert use_link(token).person == adm.person
    assert able() == 1


@PAGES
@pytest.mark.parametrize(
    ("path", "form"),
    [("roles/", {"role": "admin", "change": "end"}), ("access/", {"change": "deactivate"})],
    ids=["role", "access"],
)
def test_the_page_says_what_why_and_what_now(adm: Somebody, path: str, form: dict[str, str]) -> None:
    answer = browser_of(adm).post(f"/people/{adm.person.ref}/{path}", form)
    assert answer.status_code == 409
    text = re.sub(r"\s+", " ", answer.content.decode())
    for part in ("last admin who can sign in", "nobody could invite or recover", "Make somebody else an admin first"):
        assert part in text
    assert able() == 1


def test_the_api_answers_409_and_never_ends_an_admins_role(desk: Desk, adm: Somebody) -> None:
    ref = adm.person.ref
    assert problem_of(desk.post(f"people/{ref}/deactivate/")) == (409, "last_admin")
    assert problem_of(desk.post(f"people/{ref}/end-role/", {"role": "admin"})) == (400, "invalid")
    assert desk.get(f"people/{ref}/").json()["is_active"] is True
    assert able() == 1


def _both(end: Ending, other_end: Ending) -> list[Any]:
    cache.clear()
    one, two = (enrolled(f"{name}@example.org", "admin") for name in ("one", "two"))
    return at_once(lambda: end(one, two.person.ref), lambda: other_end(two, one.person.ref))


@pytest.mark.scaled
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", ROUNDS[:2])
@pytest.mark.parametrize("other", [_ends_role, _deactivates, _ends_key], ids=["role", "access", "passkey"])
@WAYS
def test_two_admins_who_end_each_other_at_once_leave_one(end: Ending, other: Ending, round_: int) -> None:
    results = _both(end, other)
    assert sorted(type(result).__name__ for result in results) == ["LastAdmin", "NoneType"], results
    assert able() == 1
