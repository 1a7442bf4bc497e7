"""What a test reads from the log's inbox."""

from __future__ import annotations

from typing import Any

from audit.canonical import decode
from audit.models import InboxRow


def entries(*types: str) -> list[dict[str, Any]]:
    """Return the entries of these types, oldest first; without types, all."""
    said = [decode(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry for entry in said if not types or entry["type"] in types]


def types_since(count: int) -> list[str]:
    """Return the types of what was recorded after so many entries."""
    return [entry["type"] for entry in entries()[count:]]
