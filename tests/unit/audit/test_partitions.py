"""One table a month on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from audit import partitions
from audit.models import Entry
from audit.partitions import Month
from audit.search import indexes
from audit.sequencer import Sequencer
from tests.support.log import Recorder

pytestmark = pytest.mark.django_db
PAST = datetime(2020, 11, 30, 23, 59, 59, tzinfo=UTC)


def _months() -> list[Month]:
    return [each.month for each in partitions.existing()]


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [((2026, 11), 0, (2026, 11)), ((2026, 11), 2, (2027, 1)), ((2026, 12), 1, (2027, 1)), ((2026, 1), -1, (2025, 12))],
)
def test_months_are_counted_over_the_year(start: tuple[int, int], months: int, end: tuple[int, int]) -> None:
    assert Month(*start).later(months) == Month(*end)


def test_a_month_is_one_of_universal_time() -> None:
    at = datetime.fromisoformat("2026-12-01T01:00:00+02:00")
    assert Month.of(at) == Month(2026, 11)
    assert Month.of(at).begins_at == datetime(2026, 11, 1, tzinfo=UTC)


def test_sqlite_keeps_one_table() -> None:
    if connection.vendor == "postgresql":
        return
    partitions.ensure(PAST)
    assert partitions.existing() == []
    assert partitions.close(datetime.now(UTC)) == []


@pytest.mark.scaled
def test_this_month_and_those_to_come_have_tables() -> None:
    now = Month.of(datetime.now(UTC))
    assert {now, now.later(1), now.later(partitions.MONTHS_AHEAD)} <= set(_months())


@pytest.mark.scaled
def test_what_is_missing_is_made_once() -> None:
    partitions.ensure(PAST, ahead=2)
    partitions.ensure(PAST, ahead=2)
    assert _months()[:3] == [Month(2020, 11), Month(2020, 12), Month(2021, 1)]


@pytest.mark.scaled
def test_the_sequencer_makes_the_months_that_it_needs(sequencer: Sequencer, as_owner: object) -> None:
    with connection.cursor() as cursor:
        for month in _months():
            cursor.execute(f"DROP TABLE {month.table}")
    sequencer.run_once()
    assert Month.of(datetime.now(UTC)) in _months()


@pytest.mark.scaled
def test_a_month_that_is_over_gets_its_span_once(sequencer: Sequencer, happen: Recorder) -> None:
    happen(3)
    sequencer.run_once()
    month = Month.of(datetime.now(UTC))
    assert partitions.close(month.later(1).begins_at.replace(microsecond=0)) == [month]
    assert partitions.close(month.later(1).begins_at) == []
    assert [each.is_closed for each in partitions.existing() if each.month == month] == [True]
    with connection.cursor() as cursor:
        cursor.execute('EXPLAIN SELECT * FROM audit_entry WHERE "index" = 1000000000')
        plan = " ".join(row[0] for row in cursor.fetchall())
    assert month.table not in plan  # the span tells the planner where not to look
    assert Entry.objects.filter(index=0).exists()


@pytest.mark.scaled
def test_the_running_month_stays_open(sequencer: Sequencer) -> None:
    sequencer.run_once()
    assert partitions.close(datetime.now(UTC)) == []


@pytest.mark.scaled
@pytest.mark.parametrize("sql", ["TRUNCATE {}", "DELETE FROM {}", "UPDATE {} SET decision = 'allow'"])
def test_a_month_by_itself_refuses_what_the_log_refuses(sequencer: Sequencer, happen: Recorder, sql: str) -> None:
    happen(1)
    sequencer.run_once()
    table = Month.of(datetime.now(UTC)).table
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.format(table))


@pytest.mark.scaled
def test_an_index_twice_stops_the_log(sequencer: Sequencer, happen: Recorder) -> None:
    happen(1)
    sequencer.run_once()
    newest = Entry.objects.latest("index")
    newest.index, newest.event_id = newest.index + 1, "another"
    newest.save(force_insert=True)
    happen(1)
    with pytest.raises(Exception, match="stands in the table but not in the tree"):
        sequencer.run_once()


@pytest.mark.scaled
def test_a_closed_month_gets_its_index_of_words_once(sequencer: Sequencer, happen: Recorder) -> None:
    happen(3)
    sequencer.run_once()
    month = Month.of(datetime.now(UTC))
    assert indexes.catch_up() == 0
    partitions.close(month.later(1).begins_at)
    assert indexes.catch_up() == 1
    assert indexes.catch_up() == 0
    assert indexes.indexed() == {month}
