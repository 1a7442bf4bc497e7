"""What happens while somebody is erased, and what stays of them afterwards. Two real connections: tests/faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from aims.identifier.models import Resource
from aims.kit import clock
from aims.people import services as people
from aims.people.errors import PersonInactive, PersonWasErased
from aims.people.models import User
from audit.access import EVERYTHING
from audit.canonical import decode
from audit.exports import bundle
from audit.exports import services as exports
from audit.exports import store as bundles
from audit.exports.models import Export
from audit.keeping import erasing, keystore
from audit.keeping.models import PersonalValue
from audit.sequencer import Sequencer
from tests.support.cast import acting
from tests.support.log import log_key, sequencer, written_once
from tests.support.requests import asked
from tests.unit.compliance.test_keeping import (
    ADDRESS,
    EMAIL,
    NAME,
    _apart,
    _export,
    _holds,
    _rows,
    _stands,
    adm,
    zoe,
)

__all__ = ["_apart", "adm", "log_key", "sequencer", "written_once", "zoe"]
pytestmark = pytest.mark.django_db

LATE: dict[str, Callable[[User], object]] = {
    "a new name": lambda person: people.change_profile(person, by=person.ref, now=clock.now(), name=f"{NAME} II"),
    "a key's name": lambda person: people.rename_passkey(person.passkeys.get(), NAME, by=person.ref, now=clock.now()),
    "a session": lambda person: people.start_session(
        person.passkeys.get(), session_key="l" * 32, user_agent=NAME, source=ADDRESS, now=clock.now()
    ),
    "a link": lambda person: people.invite(person, by="cli:op", now=clock.now()),
}


@pytest.mark.parametrize("what", LATE)
def test_who_had_the_person_in_hand_before_writes_nothing_of_theirs_once_it_has_begun(zoe: User, what: str) -> None:
    """The key is there still, so nothing but the verbs themselves can refuse."""
    held = User.objects.get(pk=zoe.pk)
    with transaction.atomic():
        people.blank(User.objects.get(pk=zoe.pk), by="cli:op", now=clock.now())
        erasing.begin(zoe.ref, basis="request", by="cli:op", now=clock.now())
    assert keystore.key_of(zoe.ref) is not None
    with pytest.raises((PersonWasErased, PersonInactive)):
        LATE[what](held)
    assert _holds(_rows(), NAME, EMAIL, ADDRESS) == []
    assert not PersonalValue.objects.filter(person=zoe.ref).exists()


def test_a_bundle_that_was_finished_while_the_erasure_committed_goes_as_well(zoe: User, sequencer: Sequencer) -> None:
    sequencer.run_once()
    began_at = clock.now() - timedelta(minutes=1)  # as its caller read the clock, before the export ended
    export = _export("Everything")
    with transaction.atomic():
        erasure = erasing.begin(zoe.ref, basis="request", by="cli:op", now=began_at)
    erasing.finish(erasure, now=began_at)
    assert not (bundles.folder() / bundles.name(export.ref)).exists()
    assert Export.objects.get().state == "expired"


def test_an_export_that_was_claimed_while_the_erasure_committed_begins_again(zoe: User, sequencer: Sequencer) -> None:
    sequencer.run_once()
    with transaction.atomic():
        erasure = erasing.begin(zoe.ref, basis="request", by="cli:op", now=clock.now())
    row = exports.ask(
        kind="range", title="All", sets=[exports.Wanted(name="all", query="", first=0, end=None)], formats=["jsonl"],
        scope=EVERYTHING, by="usr_1", now=clock.now(),
    )  # fmt: skip
    Export.objects.filter(pk=row.pk).update(state="running", claim="x", claimed_until=clock.now() + timedelta(hours=1))
    erasing.finish(erasure, now=clock.now())
    row.refresh_from_db()
    assert (row.state, row.claim) == ("queued", "")


def test_an_export_that_ends_after_the_erasure_leaves_no_file(
    zoe: User, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer.run_once()
    real = bundle.make

    def slow(*args: Any, **kwargs: Any) -> bundle.Made:
        made = real(*args, **kwargs)
        with transaction.atomic():
            erasure = erasing.begin(zoe.ref, basis="request", by="cli:op", now=clock.now(), words=["everything"])
        erasing.finish(erasure, now=clock.now())
        return made

    monkeypatch.setattr(bundle, "make", slow)
    _export("Everything")
    assert Export.objects.get().state == "cancelled"
    assert list(bundles.folder().iterdir()) == []


def test_of_what_was_asked_in_their_name_the_signed_statement_alone_still_says_it(zoe: User, pay: Resource) -> None:
    """docs/erasure.md says so, and why: a change here is a change there."""
    request = asked(acting("robin", zoe, pay).agent, zoe, pay)
    with transaction.atomic():
        words = people.blank(User.objects.get(pk=zoe.pk), by="cli:op", now=clock.now())
        erasing.begin(zoe.ref, basis="request", by="cli:op", now=clock.now(), words=words)
    assert _holds(_rows(), NAME, EMAIL, ADDRESS) == ["authorization_approvalrequest"]
    request.refresh_from_db()
    said = decode(bytes(request.statement))
    assert said["facts"]["subject"].pop("name") == NAME
    assert not _stands(NAME, json.dumps(said, ensure_ascii=False)) and said["sub"] == zoe.ref
    others = {field.name: getattr(request, field.name) for field in request._meta.fields if field.name != "statement"}
    assert not [name for name, value in others.items() if _stands(NAME, value) or _stands(EMAIL, value)]
