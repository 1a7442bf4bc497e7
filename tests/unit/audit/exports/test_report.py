"""The PDF: typst lays out what it is told, and is told nothing that it would run."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.exports import report
from audit.exports.entries import Item
from tests.support.exports import Bundles, verdict

HOSTILE = [
    '#read("/etc/passwd")',
    '#eval("1+1")',
    "*bold* _it_ $x$ `raw` #sys.inputs.data",
    '")] #panic("boom") #[("',
    "\\u{1F600} \\ // comment /* more",
    "= Heading @ref <label>",
]


def manifest(**said: Any) -> dict[str, Any]:
    part = {"origin": "o/log", "tree_size": 9, "root": "cm9vdA==", "vkey": "o/log+0+AQ==", "checkpoint": "c.txt"}
    each = {"name": "entries", "query": "agent:a", "first": 0, "end": 9, "rows": 1, "completeness": "not_proven"}
    base = {"title": "T", "product": "P", "export": "exp_1", "asked_by": "usr_ben", "asked_at": "a", "finished_at": "f"}
    rest = {"snapshot": 9, "strength": "T1", "agents": None, "sets": [{**each, "gaps": [], "parts": [part]}]}
    return {**base, **rest, **said}


def tally(*resources: str) -> report.Tally:
    counted = report.Tally()
    for number, resource in enumerate(resources):
        said = f'{{"agent":"{"spiffe://x/" + "a" * 90}","by":"usr_a","data":{{}},"decision":"deny",'
        rest = f'"occurred_at":"2026-11-0{number % 9 + 1}T10:00:00.000Z","resource":%s,"subject":null,"type":"a.b.refused"}}'
        counted.add(Item(number, (said + rest % json.dumps(resource)).encode()))
    return counted


def text_of(pdf: bytes) -> int:
    """Return how many streams of a PDF unfold: a crude look that it is whole."""
    return sum(1 for raw in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S) if _unfolds(raw))


def _unfolds(raw: bytes) -> bool:
    try:
        zlib.decompressobj().decompress(raw)
    except zlib.error:
        return False
    return True


def test_what_comes_from_people_is_never_typst(tmp_path: Path) -> None:
    for hostile in HOSTILE:
        said = manifest(title=hostile, asked_by=hostile, product=hostile)
        said["sets"][0]["query"] = hostile
        report.write(tmp_path, said, tally(*HOSTILE), at=datetime(2026, 11, 28, tzinfo=UTC))
        pdf = (tmp_path / report.NAME).read_bytes()
        assert pdf.startswith(b"%PDF-1.7")
        assert text_of(pdf) > 2


def test_it_is_an_archive_and_readable_by_machines(tmp_path: Path) -> None:
    report.write(tmp_path, manifest(), tally("https://pay.example/"), at=datetime(2026, 11, 28, tzinfo=UTC))
    pdf = (tmp_path / report.NAME).read_bytes()
    assert b"pdfaid:part>2" in pdf
    assert b"pdfuaid:part>1" in pdf
    assert b"/StructTreeRoot" in pdf


def test_letters_that_no_font_here_has_do_not_stop_it(tmp_path: Path) -> None:
    report.write(tmp_path, manifest(title="監査 \U0001f600 تدقيق"), tally("x"), at=datetime(2026, 11, 28, tzinfo=UTC))
    assert (tmp_path / report.NAME).read_bytes().startswith(b"%PDF")


def test_nothing_at_all_and_very_much_both_fit(tmp_path: Path) -> None:
    report.write(tmp_path, manifest(), report.Tally(), at=datetime(2026, 11, 28, tzinfo=UTC))
    many = tally(*(f"https://resource-{number}.example/{'p' * 200}" for number in range(400)))
    assert len(many.listed) == report.LISTED_MAX
    report.write(tmp_path, manifest(), many, at=datetime(2026, 11, 28, tzinfo=UTC))
    assert many.rows == 400


def test_what_is_counted_stays_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "DISTINCT_MAX", 3)
    counted = tally(*"abcdef")
    assert dict(counted.resources) == {"a": 1, "b": 1, "c": 1, "others": 3}


@pytest.mark.django_db
def test_the_bundle_vouches_for_its_report(bundles: Bundles, happen: Callable[[int], list[str]]) -> None:
    happen(5)
    folder = bundles.unpacked(bundles.make(formats=("jsonl", "pdf")))
    assert verdict(folder, bundles.vkey)[0] == 0
    (folder / report.NAME).write_bytes(b"%PDF-1.7 another")
    assert "report.pdf: another file than the manifest's" in verdict(folder, bundles.vkey)[1]
