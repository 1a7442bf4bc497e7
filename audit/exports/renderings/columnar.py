"""Parquet, for those who query with DuckDB, Spark or pandas. Needs the extra ``export`` (pyarrow)."""

from __future__ import annotations

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit.canonical import encode
from audit.exports.entries import Item
from audit.exports.renderings.comma import COLUMNS, MEMBERS

ROWS_AT_ONCE = 5_000
_MOMENTS = ("occurred_at", "recorded_at")


def is_there() -> bool:
    """Return whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


class Parquet:
    """One row an entry, a row group for every ROWS_AT_ONCE."""

    def __init__(self, path: Path) -> None:
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        self._arrow = arrow
        moment = arrow.timestamp("ms", tz="UTC")
        kinds = {"index": arrow.int64(), **dict.fromkeys(_MOMENTS, moment)}
        self._schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, item: Item) -> None:
        """Keep one entry until there are enough for a row group."""
        entry = item.entry
        row = {name: entry[name] for name in MEMBERS}
        for name in _MOMENTS:
            row[name] = datetime.fromisoformat(row[name])
        self._rows.append({"index": item.index, "leaf_hash": item.leaf, **row, "data": encode(entry["data"]).decode()})
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the file's end."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []
