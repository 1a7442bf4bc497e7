"""The public log: what C2SP clients fetch, and what they don't get."""

from __future__ import annotations

import pytest
from django.test import Client

from audit import merkle, read
from audit.sequencer import Sequencer
from tests.support.log import Recorder

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.unit.audit.urls")]


@pytest.fixture
def published(sequencer: Sequencer, happen: Recorder) -> int:
    happen(599)
    return sequencer.run_once()


def test_the_checkpoint_is_the_signed_note_and_is_never_cached(client: Client, published: int) -> None:
    answer = client.get("/log/checkpoint")
    assert answer.content.decode() == read.checkpoint_note()
    assert answer["Content-Type"] == "text/plain; charset=utf-8" and answer["Cache-Control"] == "no-cache"


def test_before_the_log_is_begun_there_is_nothing(client: Client, db: None) -> None:
    assert client.get("/log/checkpoint").status_code == 404
    assert client.get("/log/tile/0/000").status_code == 404


def test_tiles_lead_to_the_root_of_the_checkpoint(client: Client, published: int) -> None:
    whole = [client.get(f"/log/tile/0/{name}").content for name in ("000", "001", "002.p/88")]
    raw = b"".join(whole)
    leaves = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    assert len(leaves) == published == 600
    assert merkle.root_of(leaves) == bytes(read.latest_checkpoint().root)
    assert leaves[5] == merkle.leaf_hash(read.entry_bytes(5, scope=read.EVERYTHING))
    assert len(client.get("/log/tile/1/000.p/2").content) == 64


def test_a_tile_never_changes_so_it_is_kept_for_ever(client: Client, published: int) -> None:
    answer = client.get("/log/tile/0/000")
    assert answer["Content-Type"] == "application/octet-stream"
    assert "immutable" in answer["Cache-Control"]
    assert client.get("/log/tile/0/000.p/7").content == answer.content[: 7 * 32]


@pytest.mark.parametrize(
    "path",
    [
        "0/002", "0/002.p/89", "0/002.p/0", "0/002.p/256", "0/002.p/088", "0/003.p/1", "1/000", "1/000.p/3",
        "2/000.p/1",
        "0/2", "00/000", "0/x000/000", "0/1000", "64/000", "99/000", "0/000.p/", "0/000/", "0/../000",
        "0/x999/x999/x999/x999/x999/999",
    ],
)  # fmt: skip
def test_what_no_checkpoint_covers_or_nobody_spells_so_is_404(client: Client, published: int, path: str) -> None:
    assert client.get(f"/log/tile/{path}").status_code == 404


def test_what_is_numbered_but_not_signed_is_not_served(client: Client, published: int, happen: Recorder) -> None:
    from audit import tree

    happen(1)
    tree.drain()
    assert client.get("/log/tile/0/002.p/89").status_code == 404


def test_nothing_is_written_over_the_wire(client: Client, published: int) -> None:
    assert client.post("/log/checkpoint").status_code == 405
    assert client.delete("/log/tile/0/000").status_code == 405
