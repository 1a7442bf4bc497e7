"""PDF documents, set by typst from templates of ours. One look for all of them: ``look.typ``.

Whatever comes from the log or from people goes in as JSON and is laid out as text, so that nothing in it can be typst.
PDF/A-2a and PDF/UA-1: it must be readable in twenty years, and by a screen reader.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import typst

log = logging.getLogger(__name__)

ROOT = Path(__file__).parent.parent  # templates import each other from here, and can read nothing above it
STANDARDS = ["a-2a", "ua-1"]


def pdf(template: Path, data: Mapping[str, Any], *, at: datetime) -> bytes:
    """Return the document that a template makes of data. at: when it is made, which the file itself says too."""
    told = {**data, "made": {"year": at.year, "month": at.month, "day": at.day}}
    sent, at = json.dumps(told), at.replace(microsecond=0)
    try:
        return _set(template, sent, at, STANDARDS)
    except typst.TypstError as error:
        # A letter that no font here has can't be archived; it can still be printed, as a box.
        log.warning("%s is no PDF/A: %s", template.name, error)
        return _set(template, sent, at, [])


def _set(template: Path, data: str, at: datetime, standards: list[str]) -> bytes:
    made = typst.compile(  # type: ignore[call-overload]
        str(template), root=str(ROOT), format="pdf", sys_inputs={"data": data}, pdf_standards=standards, timestamp=at
    )
    assert isinstance(made, bytes)
    return made
