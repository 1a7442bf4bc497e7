"""A person is erased, whole: in the database, in exports, in a backup that is restored; and every proof still holds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from pytest_django import Settings

from aims.compliance import errors
from aims.compliance.kinds import ConsentKind
from aims.compliance.models import Consent
from aims.compliance.services import consents, keeping
from aims.kit import clock
from aims.people import services as people
from aims.people.errors import LastAdmin, PersonInactive, PersonWasErased
from aims.people.models import Passkey, User
from audit import notes, read
from audit.access import EVERYTHING
from audit.canonical import decode
from audit.exports import services as exports
from audit.exports import store as bundles
from audit.exports.models import Export
from audit.exports.schedules.models import Schedule
from audit.keeping import erasing, keystore, personal
from audit.keeping.errors import KeysUnavailable, NoSuchValue
from audit.keeping.models import Erasure, PersonalValue
from audit.models import Entry, InboxRow
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.support.log import as_owner, log_key, sequencer, written_once
from tests.unit.compliance.test_consents import confirm, somebody
from tests.unit.people.driver import Somebody, enrolled

__all__ = ["as_owner", "log_key", "sequencer", "written_once"]
pytestmark = pytest.mark.django_db

NAME, EMAIL, ADDRESS = "Zoë Quillfeather", "zoe.quillfeather@example.org", "203.0.113.77"
Rows = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, settings: Settings) -> Iterator[None]:
    settings.PERSON_KEYS = str(tmp_path / "keys.sqlite3")
    settings.EXPORT_DIR = str(tmp_path / "exports")
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def adm(db: None) -> Somebody:
    return somebody("adm", "admin")


@pytest.fixture
def bo(db: None) -> Somebody:
    return somebody("bo", "admin")


@pytest.fixture
def zoe(adm: Somebody) -> User:
    """A person with a name, an address, a link, a session from somewhere and an export that names her."""
    now = clock.now() - timedelta(days=1)
    person = people.create_person(email=EMAIL, name="Zoe", by="cli:op", now=now)
    people.change_profile(person, by="cli:op", now=now, name=NAME)
    people.hold_role(person, "approver", by="cli:op", now=now)
    people.invite(person, by="cli:op", now=now)
    people.start_session(_key_of(person), session_key="k" * 32, user_agent="Browser", source=ADDRESS, now=now)
    return person


def _key_of(person: User) -> Passkey:
    return enrolled(person.email, now=clock.now() - timedelta(days=1)).key


def _agreed(kind: ConsentKind, params: dict[str, Any], asker: Somebody, other: Somebody) -> Consent:
    consent = consents.ask(kind, params, reason="request", note="", by=asker.person, now=clock.now())
    confirm(consent, other)
    return consent


def _erase(person: User, adm: Somebody, bo: Somebody) -> Erasure:
    params = {"person": person.ref, "basis": "request"}
    consent = _agreed(ConsentKind.PERSON_ERASE, params, adm, bo)
    return keeping.erase_person(
        person.ref, basis="request", consent=consent.ref, by=adm.person.ref, now=clock.now()
    )  # fmt: skip


def _rows() -> Rows:
    """Return every row of every table: what a dump would hold."""
    found: Rows = {}
    with connection.cursor() as cursor:
        tables = [each.name for each in connection.introspection.get_table_list(cursor) if each.type in "tp"]
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            found[table] = ([column[0] for column in cursor.description], cursor.fetchall())
    return found


def _holds(rows: Rows, *words: str) -> list[str]:
    """Return the tables in which a word stands, in whatever column, in either case, whole or as JSON spells it."""
    return sorted(
        {
            table
            for table, (_names, lines) in rows.items()
            for line in lines
            for value in line
            for word in words
            if _stands(word, value)
        }
    )


def _stands(word: str, value: Any) -> bool:
    raw = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
    spelled = (word.encode(), json.dumps(word)[1:-1].encode(), json.dumps(word)[1:-1].replace("\\", "\\\\").encode())
    return any(each.lower() in raw.lower() for each in spelled)


def _restore(rows: Rows) -> None:
    """Put every row of the log's, the people's and the consents' tables back, as a restored backup would."""
    with connection.cursor() as cursor:
        mine = [each for each in rows if each.split("_")[0] in ("audit", "people", "compliance")]
        mine = [each for each in mine if not each.startswith("audit_entry_")]  # months, which are in the whole
        for table in mine:
            cursor.execute(f'DELETE FROM "{table}"')
        for table in mine:
            names, lines = rows[table]
            columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join(["%s"] * len(names))
            cursor.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', lines)


def _export(title: str) -> Export:
    wanted = exports.Wanted(name="all", query="", first=0, end=None)
    row = exports.ask(
        kind="range",
        title=title,
        sets=[wanted],
        formats=["jsonl", "csv"],
        scope=EVERYTHING,
        by="usr_1",
        now=clock.now(),
    )
    assert exports.run_due(now=clock.now()) == row.ref
    return Export.objects.get(pk=row.pk)


def _said(kind: str) -> list[dict[str, Any]]:
    entries = [decode(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    entries += [decode(bytes(row.canon)) for row in Entry.objects.order_by("index")]
    return [entry["data"] for entry in entries if entry["type"] == kind]


def test_a_person_who_is_erased_is_gone_from_every_table_and_every_export_and_every_proof_holds(
    zoe: User, adm: Somebody, bo: Somebody, sequencer: Sequencer
) -> None:
    sequencer.run_once()
    export = _export(f"What {NAME} did")
    Schedule.objects.create(
        owner=adm.person.ref, name=f"Of {NAME}", query=f'"{NAME}"', every="day", zone="UTC",
        set_at=clock.now(), next_at=clock.now(), from_at=clock.now(),
    )  # fmt: skip
    before = _rows()
    assert {"people_user", "audit_export", "audit_schedule"} <= set(_holds(before, NAME, EMAIL, ADDRESS))
    kept = list(PersonalValue.objects.filter(person=zoe.ref))
    assert {personal.opened(row).value for row in kept} == {NAME, EMAIL, ADDRESS, "Zoe"}
    proofs = {index: read.tlog_proof(index, scope=EVERYTHING) for index in range(read.size())}

    erasure = _erase(zoe, adm, bo)
    sequencer.run_once()

    assert _holds(_rows(), NAME, EMAIL, ADDRESS) == []
    assert not (bundles.folder() / bundles.name(export.ref)).exists()
    assert list(bundles.folder().iterdir()) == []
    assert Erasure.objects.get().state == "done"
    told = _said("audit.person.erased")
    assert [(each["person"], each["values"], each["basis"]) for each in told] == [(zoe.ref, len(kept), "request")]
    assert _said("audit.erasure.finished")[0]["key_hash"] == told[0]["key_hash"] == erasure.key_hash
    assert verify_log().is_good
    _all_hold(proofs)


def test_a_backup_from_before_is_undecipherable_at_once_and_erased_again_after_it_was_restored(
    zoe: User, adm: Somebody, bo: Somebody, sequencer: Sequencer, as_owner: Callable[..., None]
) -> None:
    sequencer.run_once()
    _export(f"What {NAME} did")
    sequencer.run_once()
    proofs = {index: read.tlog_proof(index, scope=EVERYTHING) for index in range(read.size())}
    backup = _rows()
    _erase(zoe, adm, bo)

    _restore(backup)  # with today's store of keys
    rows = list(PersonalValue.objects.filter(person=zoe.ref))
    assert rows
    for row in rows:
        with pytest.raises(NoSuchValue):
            personal.opened(row)
    assert User.objects.get(pk=zoe.pk).name == NAME  # nobody has looked yet

    assert keeping.sweep(clock.now()) == 1  # as the first sweep after the start does
    assert _holds(_rows(), NAME, EMAIL, ADDRESS) == []
    assert keeping.sweep(clock.now()) == 0
    told = _said("audit.person.erased")
    assert [(each["person"], each["values"], each["is_again"]) for each in told] == [(zoe.ref, len(rows), True)]
    Sequencer().run_once()
    assert verify_log().is_good
    _all_hold(proofs)


def _all_hold(proofs: dict[int, str]) -> None:
    """Check the proofs that somebody took before, with the bytes as they are now."""
    key = notes.parse_vkey(read.vkey())
    for index, proof in proofs.items():
        entry = read.entry_bytes(index, scope=EVERYTHING)
        notes.verify_proof(proof, entry=entry, keys=[key], origin=key.name)


def test_the_bundle_that_was_deleted_held_no_value_in_the_first_place(zoe: User, sequencer: Sequencer) -> None:
    sequencer.run_once()
    export = _export("Everything")
    with zipfile.ZipFile(bundles.folder() / bundles.name(export.ref)) as bundle:
        held = {name: bundle.read(name) for name in bundle.namelist()}
    assert held
    assert not [name for name, raw in held.items() for word in (NAME, EMAIL, ADDRESS) if _stands(word, raw)]


def test_without_a_consent_to_exactly_this_nobody_is_erased(zoe: User, adm: Somebody, bo: Somebody) -> None:
    other = _agreed(ConsentKind.PERSON_ERASE, {"person": zoe.ref, "basis": "law"}, adm, bo)
    asked = consents.ask(
        ConsentKind.PERSON_ERASE,
        {"person": zoe.ref, "basis": "request"},
        reason="request",
        note="",
        by=adm.person,
        now=clock.now(),
    )
    for ref in ("", "con_nothing", other.ref, asked.ref):
        with pytest.raises(errors.ConsentMissing):
            keeping.erase_person(zoe.ref, basis="request", consent=ref, by=adm.person.ref, now=clock.now())
    assert User.objects.get(pk=zoe.pk).name == NAME
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("kind", ["all", "person", "period"])
def test_a_hold_stops_the_erasure_and_leaves_the_consent_unused(
    zoe: User, adm: Somebody, bo: Somebody, sequencer: Sequencer, kind: str
) -> None:
    sequencer.run_once()
    told = {"person": {"person": zoe.ref}, "period": {"since_at": clock.now() - timedelta(days=2)}}.get(kind, {})
    hold = keeping.place_hold(kind, **told, reason="Case 17", by=adm.person.ref, now=clock.now())  # type: ignore[arg-type]
    with pytest.raises(errors.ErasureHeld):
        _erase(zoe, adm, bo)
    assert User.objects.get(pk=zoe.pk).name == NAME
    consent = Consent.objects.get(kind="person.erase")
    assert consent.state == "confirmed"
    release = _agreed(ConsentKind.HOLD_RELEASE, {"hold": hold.ref}, adm, bo)
    keeping.release_hold(hold.ref, consent=release.ref, by=adm.person.ref, now=clock.now())
    keeping.erase_person(zoe.ref, basis="request", consent=consent.ref, by=adm.person.ref, now=clock.now())
    assert Erasure.objects.get().state == "done"


def test_a_store_that_is_away_at_the_end_is_waited_for(
    zoe: User, adm: Somebody, bo: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise KeysUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(keystore, "destroy", away)
        _erase(zoe, adm, bo)
    assert Erasure.objects.get().state == "begun"
    assert not PersonalValue.objects.filter(person=zoe.ref).exists()
    assert keystore.key_of(zoe.ref) is not None
    keeping.sweep(clock.now())
    assert Erasure.objects.get().state == "done"
    assert keystore.key_of(zoe.ref) is None


def test_a_crash_after_the_key_was_destroyed_is_finished_by_the_sweep(zoe: User, adm: Somebody, bo: Somebody) -> None:
    with transaction.atomic():
        erasure = erasing.begin(zoe.ref, basis="request", by="usr_1", now=clock.now())
    keystore.destroy(zoe.ref, now=clock.now())
    keeping.sweep(clock.now())
    erasure.refresh_from_db()
    assert erasure.state == "done"
    assert erasing.finish(erasure, now=clock.now()) is False  # twice is once
    assert len(_said("audit.erasure.finished")) == 1


def test_a_store_that_is_away_at_the_beginning_stops_it(
    zoe: User, adm: Somebody, bo: Somebody, settings: Settings
) -> None:
    settings.PERSON_KEYS = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(errors.KeysNotThere):
        _erase(zoe, adm, bo)
    assert User.objects.get(pk=zoe.pk).name == NAME
    assert not Erasure.objects.exists()


def test_a_value_that_was_being_recorded_meanwhile_goes_as_well(zoe: User, adm: Somebody, bo: Somebody) -> None:
    late = PersonalValue.objects.filter(person=zoe.ref).first()
    assert late is not None
    _erase(zoe, adm, bo)
    late.pk = None
    late.save()  # its transaction had read the key before it was destroyed
    with pytest.raises(NoSuchValue):
        personal.opened(late)
    keeping.sweep(clock.now())
    assert not PersonalValue.objects.filter(person=zoe.ref).exists()


def test_who_was_erased_is_not_erased_invited_or_let_in_again(zoe: User, adm: Somebody, bo: Somebody) -> None:
    _erase(zoe, adm, bo)
    with pytest.raises(PersonWasErased):
        _erase(zoe, adm, bo)
    zoe.refresh_from_db()
    with pytest.raises(PersonInactive):
        people.invite(zoe, by=adm.person.ref, now=clock.now())
    with pytest.raises(PersonWasErased):
        people.reactivate(zoe, by=adm.person.ref, now=clock.now())
    assert people.create_person(email=EMAIL, name=NAME, by="cli:op", now=clock.now()).ref != zoe.ref


def test_the_last_admin_is_not_erased(adm: Somebody, bo: Somebody) -> None:
    consent = _agreed(ConsentKind.PERSON_ERASE, {"person": adm.person.ref, "basis": "request"}, adm, bo)
    people.end_role(bo.person, "admin", by="cli:op", now=clock.now())
    with pytest.raises(LastAdmin):
        keeping.erase_person(
            adm.person.ref, basis="request", consent=consent.ref, by=adm.person.ref, now=clock.now()
        )  # fmt: skip
    assert not Erasure.objects.exists()


def test_what_stays_of_a_person_is_a_reference_and_the_keys_that_prove_what_they_signed(
    zoe: User, adm: Somebody, bo: Somebody
) -> None:
    _erase(zoe, adm, bo)
    zoe.refresh_from_db()
    assert (zoe.name, zoe.email) == ("Erased person", f"{zoe.ref}@erased.invalid")
    assert not zoe.is_active
    assert [(key.name, key.ended_at is not None) for key in zoe.passkeys.all()] == [("", True)]
    assert not zoe.signed_in_sessions.exists()
    assert not zoe.invitations.exists()
    assert not zoe.role_holdings.filter(until_at=None).exists()
