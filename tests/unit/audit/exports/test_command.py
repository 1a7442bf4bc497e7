"""manage.py export: the same export, from the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from audit import read
from audit.access import EVERYTHING
from tests.support.exports import Bundles, verdict

pytestmark = pytest.mark.django_db


def test_an_operator_takes_a_range_and_a_search(
    bundles: Bundles, happen: Callable[[int], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    happen(10)
    bundles.sequencer.run_once()
    out = bundles.folder / "range.zip"
    call_command("export", range="2..6", out=out, format=["csv"])
    assert "5 entries" in capsys.readouterr().out
    assert verdict(out, bundles.vkey)[0] == 0
    call_command("export", "type:audit.failures.*", out=out)
    assert verdict(out, bundles.vkey)[0] == 0
    bundles.sequencer.run_once()
    taken = [each for each in read.after(-1, scope=EVERYTHING) if each.type == "audit.export.downloaded"]
    assert len(taken) == 2
    assert taken[0].by.startswith("cli:")


@pytest.mark.parametrize(
    ("query", "reach", "said"),
    [
        ("colour:red", "0..", "colour"),
        ("", "6..2", "No export"),
        ("", "x", "--range is"),
        ("", "0..99999", "No export"),
    ],
)
def test_what_can_not_be_asked_is_said(bundles: Bundles, query: str, reach: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("export", query, range=reach, out=bundles.folder / "x.zip")
    assert not (bundles.folder / "x.zip").exists()
