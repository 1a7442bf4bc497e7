"""The reference vectors of RFC 6962, RFC 8785 and C2SP, all of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from audit import canonical, merkle, notes, tiles

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def b64(text: str) -> bytes:
    return base64.b64decode(text)


@pytest.mark.parametrize("case", load("rfc6962-inclusion")["cases"], ids=lambda case: case["file"])
def test_inclusion_proofs_of_the_reference_implementation(case: dict[str, Any]) -> None:
    def check() -> None:
        merkle.verify_inclusion(
            leaf=b64(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            proof=[b64(item) for item in case["proof"] or []],
            root=b64(case["root"]),
        )

    if not case["wantErr"]:
        return check()
    with pytest.raises(merkle.ProofRefused):
        check()


@pytest.mark.parametrize("case", load("rfc6962-consistency")["cases"], ids=lambda case: case["file"])
def test_consistency_proofs_of_the_reference_implementation(case: dict[str, Any]) -> None:
    def check() -> None:
        merkle.verify_consistency(
            first=case["size1"],
            second=case["size2"],
            first_root=b64(case["root1"]),
            second_root=b64(case["root2"]),
            proof=[b64(item) for item in case["proof"] or []],
        )

    if not case["wantErr"]:
        return check()
    with pytest.raises(merkle.ProofRefused):
        check()


def test_the_small_tree_has_the_known_roots_and_proofs() -> None:
    tree = load("merkle-small-tree")
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in tree["leaf_inputs_hex"]]
    assert [leaf.hex() for leaf in leaves] == tree["leaf_hashes_hex"]
    for size, root in enumerate(tree["roots_hex_by_size"]):
        assert merkle.root_of(leaves[:size]).hex() == root
    read = merkle.reader_of(leaves)
    for case in tree["inclusion"]:
        proof = merkle.inclusion_proof(case["index"], case["size"], read)
        assert [item.hex() for item in proof] == case["proof"]
    for case in tree["consistency"]:
        proof = merkle.consistency_proof(case["size1"], case["size2"], read)
        assert [item.hex() for item in proof] == case["proof"]


def test_notes_and_checkpoints_of_c2sp() -> None:
    vectors = load("c2sp-tlog")
    sample = vectors["c2sp_note_example"]
    assert notes.open_note(sample["note"], [notes.parse_vkey(sample["vkey"])]) == "This is an example message.\n\n"[:-1]
    log, witness = notes.parse_vkey(vectors["log_vkey"]), notes.parse_vkey(vectors["witness_vkey"])
    assert str(log) == vectors["log_vkey"]
    head = notes.open_checkpoint(vectors["checkpoint_signed_and_cosigned"]["text"], [log, witness], origin=log.name)
    assert head.size == 8
    with pytest.raises(notes.NoteRefused, match="is wrong"):
        notes.open_checkpoint(vectors["checkpoint_size_changed"]["text"], [log], origin=log.name)
    with pytest.raises(notes.NoteRefused, match="nobody"):
        notes.open_checkpoint(vectors["checkpoint_signed_and_cosigned"]["text"], [], origin=log.name)
    with pytest.raises(notes.NoteRefused, match="this log"):
        notes.open_checkpoint(vectors["checkpoint_signed_and_cosigned"]["text"], [log], origin="other")


def test_a_proof_file_of_c2sp_leads_from_the_entry_to_the_checkpoint() -> None:
    vectors = load("c2sp-tlog")
    log, case = notes.parse_vkey(vectors["log_vkey"]), vectors["tlog_proof_index5_size8"]
    entry = bytes.fromhex(case["leaf_input_hex"])
    assert notes.verify_proof(case["text"], entry=entry, keys=[log], origin=log.name).size == 8
    proof = notes.parse_proof(case["text"])
    assert notes.write_proof(proof.index, proof.hashes, proof.note) == case["text"]
    with pytest.raises(merkle.ProofRefused):
        notes.verify_proof(case["text"], entry=entry + b"!", keys=[log], origin=log.name)


def test_the_consistency_proof_of_the_witness_request() -> None:
    vectors = load("c2sp-tlog")
    case = vectors["witness_add_checkpoint_old4_new8"]
    lines = case["body"].split("\n\n")[0].split("\n")[1:]
    merkle.verify_consistency(
        first=4,
        second=8,
        first_root=bytes.fromhex(case["witness_state_root_hex"]),
        second_root=bytes.fromhex(load("merkle-small-tree")["roots_hex_by_size"][8]),
        proof=[b64(line) for line in lines],
    )


def test_tiles_are_named_counted_and_filled_as_c2sp_says() -> None:
    vectors = load("c2sp-tlog")
    for case in vectors["tile_paths"]:
        assert tiles.number_path(case["index"]) == case["path"]
        assert tiles.parse_number(case["path"]) == case["index"]
    for case in vectors["tile_counts"]:
        for tile in case["tiles"]:
            assert tiles.partial_width(tile["level"], case["tree_size"]) == tile["partial_width"]
            assert (case["tree_size"] >> (8 * tile["level"])) // 256 == tile["full"]
    leaves = [bytes.fromhex(text) for text in load("merkle-small-tree")["leaf_hashes_hex"]]
    assert tiles.grow({}, 0, leaves) == {(0, 0): bytes.fromhex(vectors["level0_partial_tile_width8_hex"])}


@pytest.mark.parametrize("path", ["0", "00", "0000", "x000/001", "1000", "x001", "x001/", "a01", "-01", "x1/000"])
def test_another_spelling_of_a_tile_number_is_none(path: str) -> None:
    assert tiles.parse_number(path) is None


@pytest.mark.parametrize("case", load("jcs-rfc8785-vectors")["json"], ids=lambda case: case["id"])
def test_jcs_vectors_come_out_or_are_refused_for_a_float(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["input_utf8_hex"])
    if case["id"] in {"structures", "values"}:  # the only ones with 56.0 and its like
        with pytest.raises(canonical.CanonicalError, match="not an integer"):
            canonical.decode(raw)
        return
    assert canonical.encode(canonical.decode(raw)).hex() == case["canonical_utf8_hex"]


@pytest.mark.parametrize("case", load("jcs-rfc8785-vectors")["must_reject"], ids=lambda case: case["reason"])
def test_jcs_refuses_what_must_be_refused(case: dict[str, Any]) -> None:
    text = case.get("json_text") or case["reason"]
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"9007199254740992", b"-9007199254740992", b"1.0", b"1e3", b"9" * 5000, b"[" * 33 + b"]" * 33,
        b"[" * 100_000, b'"\xff"', b"\xef\xbb\xbf1", b"{1:2}", b"", b"01", b"[1,]", b'{"a":{"b":1,"b":2}}',
    ],
)  # fmt: skip
def test_json_that_could_mean_two_things_is_refused(text: bytes) -> None:
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(text)


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, {1: 2}, b"raw", "\ud800", {"\udc00": 1}, object()])
def test_values_without_a_canonical_spelling_are_refused(value: object) -> None:
    with pytest.raises(canonical.CanonicalError):
        canonical.encode(value)


def test_the_largest_integers_and_the_deepest_nesting_are_taken() -> None:
    assert canonical.decode(b"[9007199254740991,-9007199254740991]") == [2**53 - 1, 1 - 2**53]
    canonical.decode(b"[" * 32 + b"]" * 32)
