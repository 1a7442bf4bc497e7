"""What the database itself refuses: changing entries, full tiles, checkpoints and what others said of these. Defence in
depth, not the proof.

The test fixtures lift it as owner of the tables; no setting does. The exceptions: what went by retention, and checkpoints
that another one of the same hour makes needless.
"""

from __future__ import annotations

_TABLES = ("audit_entry", "audit_checkpoint", "audit_tile")
_ATTESTED = ("audit_cosignature", "audit_timestamp")
# The right edge of the tree may grow: the old hashes stay as its beginning. A full tile is done.
_TILE_UPDATE_IS_BAD = """length(OLD.data) >= 8192 OR substr(NEW.data, 1, length(OLD.data)) <> OLD.data
    OR NEW.generation <> OLD.generation OR NEW.level <> OLD.level OR NEW."index" <> OLD."index" """


def statements(vendor: str) -> list[str]:
    """Return the statements that put the refusals in place."""
    return _postgresql() if vendor == "postgresql" else _sqlite()


def keeping_statements(vendor: str) -> list[str]:
    """Return the statements that let entries below the minimum go, on SQLite, and nothing else; and hold the minimum.

    On PostgreSQL a month goes as a table, so that its rows refuse as before.
    """
    falls = "NEW.minimum < OLD.minimum"
    if vendor == "postgresql":
        return [
            f"CREATE OR REPLACE TRIGGER audit_keeping_{kind} BEFORE {kind.upper()} ON audit_keeping "
            f"FOR EACH {each} EXECUTE FUNCTION audit_refuse()"
            for kind, each in (
                ("update", f"ROW WHEN ({falls})"),
                ("delete", "ROW"),
                ("truncate", "STATEMENT"),
            )
        ]
    is_kept = 'OLD."index" >= coalesce((SELECT minimum FROM audit_keeping WHERE id = 1), 0)'
    written_once = "BEGIN SELECT RAISE(ABORT, '{} is written once'); END"
    return [
        "DROP TRIGGER IF EXISTS audit_entry_delete",
        f"CREATE TRIGGER audit_entry_delete BEFORE DELETE ON audit_entry WHEN {is_kept} "
        + written_once.format("audit_entry"),
        f"CREATE TRIGGER IF NOT EXISTS audit_keeping_update BEFORE UPDATE ON audit_keeping WHEN {falls} "
        + written_once.format("audit_keeping"),
        "CREATE TRIGGER IF NOT EXISTS audit_keeping_delete BEFORE DELETE ON audit_keeping "
        + written_once.format("audit_keeping"),
    ]


def attesting_statements(vendor: str) -> list[str]:
    """Return the statements that keep cosignatures and time stamps, and let a checkpoint go only where it is needless.

    A checkpoint may go if no time stamp is on it and the next one of its generation was signed within the same hour (UTC),
    so that one an hour stays whoever deletes; a cosignature, if its checkpoint is gone.
    """
    return _attesting_postgresql() if vendor == "postgresql" else _attesting_sqlite()


def every_statement(vendor: str) -> list[str]:
    """Return all statements of this module, in the order in which migrations run them."""
    return [*statements(vendor), *keeping_statements(vendor), *attesting_statements(vendor)]


def lifting(vendor: str) -> list[str]:
    """Return the statements that take them away again."""
    kinds = ("update", "delete", "truncate") if vendor == "postgresql" else ("update", "delete")
    on = " ON {table}" if vendor == "postgresql" else ""
    tables = (*_TABLES, *_ATTESTED, "audit_keeping")
    drops = [f"DROP TRIGGER IF EXISTS {table}_{kind}{on.format(table=table)}" for table in tables for kind in kinds]
    months = [_each_month("DROP TRIGGER IF EXISTS %1$s_truncate ON %1$s")] if vendor == "postgresql" else []
    return drops + months


def refuse_truncate(table: str) -> str:
    """Return the statement that makes PostgreSQL refuse to empty a table. A month's table has its own."""
    return (
        f"CREATE OR REPLACE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def _when(table: str, kind: str) -> str:
    return f"WHEN ({_TILE_UPDATE_IS_BAD})" if (table, kind) == ("audit_tile", "update") else ""


def _sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER IF NOT EXISTS {table}_{kind} BEFORE {kind.upper()} ON {table} {_when(table, kind)} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is written once'); END"
        for table in _TABLES
        for kind in ("update", "delete")
    ]


def _postgresql() -> list[str]:
    refuse = """CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '% is written once', TG_TABLE_NAME; END $$"""
    rows = [
        f"CREATE OR REPLACE TRIGGER {table}_{kind} BEFORE {kind.upper()} ON {table} "
        f"FOR EACH ROW {_when(table, kind)} EXECUTE FUNCTION audit_refuse()"
        for table in _TABLES
        for kind in ("update", "delete")
    ]
    return [refuse, *rows, *map(refuse_truncate, _TABLES), _each_month(refuse_truncate("%1$s"))]


_STAMPED = "EXISTS (SELECT 1 FROM audit_timestamp WHERE generation = OLD.generation AND size = OLD.size)"
_NEXT_HOUR = """(SELECT {hour} FROM audit_checkpoint AS later
    WHERE later.generation = OLD.generation AND later.size > OLD.size ORDER BY later.size LIMIT 1)"""
_ON_ONE = "EXISTS (SELECT 1 FROM audit_checkpoint WHERE generation = OLD.generation AND size = OLD.size)"


def _attesting_sqlite() -> list[str]:
    hour = "substr({}signed_at, 1, 13)"  # 2026-11-28 14
    is_needed = f"{_STAMPED} OR {hour.format('OLD.')} IS NOT {_NEXT_HOUR.format(hour=hour.format('later.'))}"
    refusals = [
        ("audit_checkpoint", "delete", is_needed),
        ("audit_cosignature", "delete", _ON_ONE),
        ("audit_cosignature", "update", "1"),
        ("audit_timestamp", "delete", "1"),
        ("audit_timestamp", "update", "1"),
    ]
    return [
        "DROP TRIGGER IF EXISTS audit_checkpoint_delete",
        *(
            f"CREATE TRIGGER IF NOT EXISTS {table}_{kind} BEFORE {kind.upper()} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is written once'); END"
            for table, kind, condition in refusals
        ),
    ]


def _attesting_postgresql() -> list[str]:
    hour = "date_trunc('hour', {}signed_at, 'UTC')"
    is_needed = f"{_STAMPED} OR {hour.format('OLD.')} IS DISTINCT FROM {_NEXT_HOUR.format(hour=hour.format('later.'))}"
    functions = [
        f"""CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF {condition} THEN RAISE EXCEPTION '% is written once', TG_TABLE_NAME; END IF; RETURN OLD; END $$"""
        for name, condition in (("audit_refuse_needed", is_needed), ("audit_refuse_cosigned", _ON_ONE))
    ]
    rows = [
        ("audit_checkpoint", "delete", "audit_refuse_needed"),
        ("audit_cosignature", "delete", "audit_refuse_cosigned"),
        ("audit_cosignature", "update", "audit_refuse"),
        ("audit_timestamp", "delete", "audit_refuse"),
        ("audit_timestamp", "update", "audit_refuse"),
    ]
    refusals = [
        f"CREATE OR REPLACE TRIGGER {table}_{kind} BEFORE {kind.upper()} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
        for table, kind, name in rows
    ]
    return [*functions, *refusals, *map(refuse_truncate, _ATTESTED)]


def _each_month(statement: str) -> str:
    """Return a block that executes a statement for the table of each month; rows are refused by the whole's triggers."""
    return f"""DO $$ DECLARE month text; BEGIN
        FOR month IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'audit_entry'::regclass
        LOOP EXECUTE format('{statement}', month); END LOOP; END $$"""  # noqa: S608
