"""Personal values: committed to in the log, kept beside it under their person's key, shown and found and nothing else."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import settings as few
from hypothesis import strategies as st
from pytest_django import Settings

from audit.keeping import commitment, keystore, personal
from audit.keeping.commitment import VALUE_MAX_BYTES
from audit.keeping.errors import KeyBroken, KeysUnavailable, NoSuchValue, PersonErased, ValueTooLarge
from audit.keeping.models import PersonalValue
from audit.models import InboxRow
from audit.write import NOBODY, Event, Personal, build, record, record_alone, vocabulary

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 28, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Met(Event, type="tests.person.met", title="Met", personal=("email", "name")):
    place: str
    email: Personal | None = None
    name: Personal | None = None


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings) -> Path:
    settings.PERSON_KEYS = str(tmp_path / "keys.sqlite3")
    return tmp_path / "keys.sqlite3"


@pytest.fixture(scope="module", autouse=True)
def _only_here() -> Iterator[None]:
    from audit import write

    yield
    write._vocabulary.pop(Met.type)


def _met(email: str = "ada@example.org", name: str | None = None, person: str = "usr_ada") -> str:
    event = Met(place="a/b", email=Personal(person, email), name=Personal(person, name) if name else None)
    with transaction.atomic():
        return record(event, by="system", facts=NOBODY)


def _said() -> dict[str, str]:
    said: dict[str, str] = json.loads(bytes(InboxRow.objects.latest("pk").payload))["data"]
    return said


def test_the_log_gets_a_commitment_and_no_letter_of_the_value() -> None:
    _met(name="Ada Lovelace")
    said = _said()
    assert said["place"] == "a/b"
    assert all(commitment.is_commitment(said[name]) for name in ("email", "name"))
    raw = bytes(InboxRow.objects.get().payload)
    assert b"ada" not in raw.lower()


def test_a_field_without_a_value_is_said_to_have_none(store: Path) -> None:
    with transaction.atomic():
        record(Met(place="x"), by="system", facts=NOBODY)
    assert _said() == {"place": "x", "email": None, "name": None}
    assert not store.exists()


def test_value_and_salt_open_the_commitment_and_nothing_else_does() -> None:
    _met()
    shown = personal.opened(PersonalValue.objects.get())
    assert (shown.value, shown.person, shown.commitment) == ("ada@example.org", "usr_ada", _said()["email"])
    assert commitment.opens(shown.commitment, salt=shown.salt, field="email", value=shown.value)
    for changed in (
        {"field": "name"},
        {"value": "Ada@example.org"},
        {"salt": bytes(32)},
        {"salt": shown.salt[:31]},
    ):
        given = {"salt": shown.salt, "field": "email", "value": shown.value} | changed
        assert not commitment.opens(shown.commitment, **given)  # type: ignore[arg-type]


def test_the_commitment_is_what_the_documents_say() -> None:
    made = commitment.commit(bytes(range(32)), "email", "ada@example.org")
    assert made == "c1.QB7T8OLPo53KqnKl7NbT1v3U7qJe2QEG3o4bwEE34VQ"


@few(max_examples=30)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_no_value_passes_for_another(value: str, other: str) -> None:
    salt = bytes(range(32))
    try:
        made = commitment.commit(salt, "f", value)
        assert commitment.opens(made, salt=salt, field="f", value=other) is (value == other)
    except UnicodeEncodeError:
        pass  # a lone surrogate has no bytes


def test_one_address_twice_has_nothing_in_common_but_the_blind_index() -> None:
    _met()
    first = _said()["email"]
    _met()
    assert _said()["email"] != first
    one, two = PersonalValue.objects.order_by("pk")
    assert bytes(one.ciphertext) != bytes(two.ciphertext)
    assert bytes(one.blind) == bytes(two.blind) == personal.blind_of("email", " ADA@example.org")
    assert bytes(one.blind) != personal.blind_of("name", "ada@example.org")


def test_change_and_values_commit_together_or_not_at_all() -> None:
    with transaction.atomic():
        _met()
        transaction.set_rollback(True)
    assert not InboxRow.objects.exists()
    assert not PersonalValue.objects.exists()


@pytest.mark.parametrize("value", ["", "x" * (VALUE_MAX_BYTES + 1), "é" * (VALUE_MAX_BYTES // 2 + 1)])
def test_a_value_has_a_size(value: str) -> None:
    with pytest.raises(ValueTooLarge):
        _met(value)
    assert not InboxRow.objects.exists()


def test_the_largest_value_is_kept_whole() -> None:
    _met("x" * VALUE_MAX_BYTES)
    assert personal.opened(PersonalValue.objects.get()).value == "x" * VALUE_MAX_BYTES


def test_a_field_that_was_not_declared_takes_no_personal_value() -> None:
    with pytest.raises(ValueError, match="no place for Personal"):
        build(
            Met(place=Personal("usr_ada", "x")),  # type: ignore[arg-type]
            event_id="00000000-0000-7000-8000-000000000000",
            by="system",
            facts=NOBODY,
            occurred_at="2026-11-28T00:00:00.000Z",
        )


def test_an_entry_alone_takes_none_either() -> None:
    with pytest.raises(AssertionError):
        record_alone(Met(place="x"), by="system", facts=NOBODY)


def test_no_event_without_personal_fields_pays_for_them() -> None:
    assert [kind.type for kind in vocabulary().values() if kind.personal] == [
        "people.person.created",
        "people.person.changed",
        "people.person.invited",
        "people.session.started",
        "tests.person.met",
    ]


@pytest.mark.parametrize("trouble", ["a folder", "not a database", "no right"])
def test_without_the_store_nothing_is_recorded_and_nothing_half_written(
    store: Path, settings: Settings, trouble: str
) -> None:
    if trouble == "a folder":
        store.mkdir()
    elif trouble == "not a database":
        store.write_bytes(b"x" * 4096)
    else:
        settings.PERSON_KEYS = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(KeysUnavailable):
        _met()
    assert not InboxRow.objects.exists()
    assert not PersonalValue.objects.exists()


def test_without_the_store_a_value_is_not_available_and_with_it_it_is_again(settings: Settings) -> None:
    _met()
    kept, settings.PERSON_KEYS = settings.PERSON_KEYS, "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(KeysUnavailable):
        personal.opened(PersonalValue.objects.get())
    settings.PERSON_KEYS = kept
    assert personal.opened(PersonalValue.objects.get()).value == "ada@example.org"


@pytest.mark.parametrize(
    "change", [{"event_id": "00000000-0000-7000-8000-000000000000"}, {"field": "name"}, {"person": "usr_ben"}]
)
def test_a_value_that_was_moved_does_not_open(change: dict[str, str]) -> None:
    _met()
    _met(person="usr_ben")
    row = PersonalValue.objects.get(person="usr_ada")
    PersonalValue.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(KeyBroken):
        personal.opened(PersonalValue.objects.get(pk=row.pk))


@pytest.mark.parametrize("at", [0, 1, 12, 13, 40, -1])
def test_a_value_of_which_one_bit_was_flipped_does_not_open(at: int) -> None:
    _met()
    row = PersonalValue.objects.get()
    raw = bytearray(row.ciphertext)
    raw[at] ^= 1
    row.ciphertext = bytes(raw)
    with pytest.raises(KeyBroken):
        personal.opened(row)


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x01" + bytes(12), b"\x01" + bytes(28)])
def test_a_value_that_was_cut_does_not_open(raw: bytes) -> None:
    _met()
    row = PersonalValue.objects.get()
    row.ciphertext = raw
    with pytest.raises(KeyBroken):
        personal.opened(row)


def test_a_commitment_that_was_changed_is_noticed() -> None:
    _met()
    row = PersonalValue.objects.get()
    row.commitment = "c1." + "A" * 43
    with pytest.raises(KeyBroken, match="not what was committed to"):
        personal.opened(row)


def test_another_kek_opens_nothing_and_records_nothing(settings: Settings) -> None:
    _met()
    settings.KEKS = [base64.b64encode(secrets.token_bytes(32)).decode()]
    with pytest.raises(KeyBroken):
        personal.opened(PersonalValue.objects.get())
    with pytest.raises(KeyBroken):
        _met()
    assert InboxRow.objects.count() == 1


def test_keys_are_sealed_again_under_the_first_kek(settings: Settings) -> None:
    _met()
    new = base64.b64encode(secrets.token_bytes(32)).decode()
    settings.KEKS = [new, *settings.KEKS]
    assert keystore.rewrap() == 1
    settings.KEKS = [new]
    assert personal.opened(PersonalValue.objects.get()).value == "ada@example.org"


def test_a_destroyed_key_is_in_no_byte_of_the_store(store: Path) -> None:
    _met()
    with sqlite3.connect(store) as file:
        key_id, wrapped = file.execute("SELECT key_id, wrapped FROM person_key").fetchone()
    file.close()
    assert wrapped in store.read_bytes()
    keystore.destroy("usr_ada", now=NOW)
    left = b"".join(path.read_bytes() for path in store.parent.iterdir() if path.name.startswith(store.name))
    assert wrapped[13:] not in left
    assert key_id.encode() not in left
    assert [each.person for each in keystore.tombstones()] == ["usr_ada"]


def test_who_was_erased_gets_no_key_again_and_what_was_kept_does_not_open() -> None:
    _met()
    keystore.destroy("usr_ada", now=NOW)
    keystore.destroy("usr_ada", now=datetime(2027, 1, 1, tzinfo=UTC))
    assert [each.erased_at for each in keystore.tombstones()] == [NOW]
    with pytest.raises(PersonErased):
        _met()
    with pytest.raises(NoSuchValue):
        personal.opened(PersonalValue.objects.get())


def test_only_the_owner_reads_the_store(store: Path) -> None:
    _met()
    assert store.stat().st_mode & 0o777 == 0o600
    keystore.check()
    os.chmod(store, 0o640)
    with pytest.raises(ValueError, match="others may read"):
        keystore.check()


@pytest.mark.scaled
def test_a_store_in_another_database_does_the_same(settings: Settings, store: Path) -> None:
    given = connection.settings_dict
    assert given["NAME"]
    settings.PERSON_KEYS = f"postgresql://{given['USER']}@{given['HOST']}:{given['PORT']}/postgres"
    person = f"usr_{secrets.token_hex(4)}"
    _met(person=person)
    row = PersonalValue.objects.get()
    assert personal.opened(row).value == "ada@example.org"
    assert keystore.rewrap() >= 1
    keystore.destroy(person, now=NOW)
    with pytest.raises(NoSuchValue):
        personal.opened(row)
    with pytest.raises(PersonErased):
        _met(person=person)
    assert person in {each.person for each in keystore.tombstones()}
    assert not store.exists()


@pytest.mark.scaled
def test_the_database_itself_is_no_store(settings: Settings) -> None:
    given = connection.settings_dict
    settings.PERSON_KEYS = f"postgresql://{given['USER']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"
    with pytest.raises(ValueError, match="is the database itself"):
        keystore.check()
