"""The proof checker of the entry page, run outside a browser on the vectors of the specifications."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import ROOT

SOURCE = ROOT / "static/js/lib/merkle.js"
VECTORS = ROOT / "tests/vectors"
DRIVER = """
import { webcrypto } from 'node:crypto';
globalThis.crypto ??= webcrypto;
const { checkEntry, rootFrom, parseCheckpoint } = await import('./merkle.mjs');
const raw = (text) => Uint8Array.from(Buffer.from(text, 'base64'));
const kinds = {
  inclusion: async ({ leafHash, leafIdx, treeSize, proof, root }) => {
    const hashes = (proof ?? []).map(raw);
    const found = await rootFrom({ leaf: raw(leafHash), index: leafIdx, size: treeSize, hashes });
    return Buffer.from(found).toString('base64') === root ? 'proven' : 'leaf';
  },
  entry: (given) => checkEntry(given),
  checkpoint: async ({ note }) => parseCheckpoint(note).size,
};
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const answers = [];
for (const { kind, ...given } of JSON.parse(Buffer.concat(chunks))) {
  answers.push(await kinds[kind](given).catch((error) => error.code ?? String(error)));
}
console.log(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module as the page has it, and a driver."""
    if shutil.which("node") is None:
        pytest.skip("no node: the page's own JavaScript can't run outside a browser")
    folder = tmp_path_factory.mktemp("merkle")
    (folder / "merkle.mjs").write_text(SOURCE.read_text())
    (folder / "driver.mjs").write_text(DRIVER)
    return folder


def answers(checker: Path, asked: list[dict[str, Any]]) -> list[Any]:
    command = ["node", str(checker / "driver.mjs")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


@pytest.mark.spec("RFC 9162", "2.1.3.2", "the browser accepts right inclusion proofs and refuses wrong ones")
def test_every_inclusion_vector_is_judged_as_its_authors_did(checker: Path) -> None:
    # Roots of another length and numbers from 2^53 on never come this far: parsing refuses them.
    found = vectors("rfc6962-inclusion")["cases"]
    cases = [case for case in found if case["root"] and max(case["leafIdx"], case["treeSize"]) < 2**53]
    said = answers(checker, [{"kind": "inclusion", **case} for case in cases])
    assert len(cases) > 80
    wrong = [case["file"] for case, one in zip(cases, said, strict=True) if (one == "proven") is case["wantErr"]]
    assert wrong == []


def proof_of(**changed: str) -> dict[str, str]:
    found = vectors("c2sp-tlog")
    sample = found["tlog_proof_index5_size8"]
    canon = bytes.fromhex(sample["leaf_input_hex"]).decode()
    return {"kind": "entry", "canon": canon, "proof": sample["text"], "vkey": found["log_vkey"]} | changed


@pytest.mark.spec("C2SP tlog-proof", "", "the browser follows a proof from the entry to the signed checkpoint")
def test_a_proof_leads_from_the_entry_to_the_signed_checkpoint(checker: Path) -> None:
    assert answers(checker, [proof_of()]) == ["proven"]


@pytest.mark.spec("C2SP tlog-proof", "", "the browser says what is wrong with a proof")
def test_what_is_wrong_is_said(checker: Path) -> None:
    right = proof_of()
    witness = vectors("c2sp-tlog")["witness_vkey"]
    wrong = {
        "another entry": (proof_of(canon="@ABD"), "leaf"),
        "another place": (proof_of(proof=right["proof"].replace("index 5", "index 4")), "leaf"),
        "no such place": (proof_of(proof=right["proof"].replace("index 5", "index 8")), "leaf"),
        "a place beyond counting": (proof_of(proof=right["proof"].replace("index 5", f"index {2**60}")), "malformed"),
        "a place in another spelling": (proof_of(proof=right["proof"].replace("index 5", "index 05")), "malformed"),
        "another size": (proof_of(proof=right["proof"].replace("\n8\n", "\n7\n")), "signature"),
        "a signature of nobody": (proof_of(proof=right["proof"].replace("mOvcO1oP2R", "mOvcO1oP2Q")), "signature"),
        "another log's key": (proof_of(vkey=witness), "malformed"),
        "no proof": (proof_of(proof="c2sp.org/tlog-proof@v1\n"), "malformed"),
        "nothing": (proof_of(proof=""), "malformed"),
        "another version": (proof_of(proof=right["proof"].replace("@v1", "@v2")), "malformed"),
        "a short hash": (
            proof_of(proof=right["proof"].replace("vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=", "vBo=")),
            "malformed",
        ),
    }
    said = answers(checker, [given for given, _ in wrong.values()])
    assert dict(zip(wrong, said, strict=True)) == {name: code for name, (_, code) in wrong.items()}


@pytest.mark.spec("C2SP tlog-checkpoint", "", "the browser reads a checkpoint")
def test_a_checkpoint_is_read(checker: Path) -> None:
    found = vectors("c2sp-tlog")["checkpoint_signed_and_cosigned"]
    assert answers(checker, [{"kind": "checkpoint", "note": found["text"]}]) == [8]


def policy(*lines: str, quorum: str = "w") -> str:
    witness = vectors("c2sp-tlog")["witness_vkey"]
    return "\n".join(["# who is trusted", f"witness w\t{witness} https://w.example", *lines, f"quorum {quorum}", ""])


@pytest.mark.spec("C2SP tlog-proof", "Verifying a tlog proof", "the browser counts cosignatures by the policy")
def test_a_quorum_of_cosignatures_is_seen_and_a_wrong_one_is_said(checker: Path) -> None:
    right = proof_of()
    other = "witness x PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    line = next(line for line in right["proof"].splitlines() if line.startswith("— witness"))
    forged = line[:40] + ("A" if line[40] != "A" else "B") + line[41:]
    cases = {
        "no policy": (proof_of(policy=""), "proven"),
        "one is asked for": (proof_of(policy=policy()), "witnessed"),
        "of a group": (proof_of(policy=policy("group g any w", "group h all g", quorum="h")), "witnessed"),
        "none is asked for": (proof_of(policy=policy(quorum="none")), "witnessed"),
        "another is asked for": (proof_of(policy=policy(other, "group g all w x", quorum="g")), "proven"),
        "nobody cosigned": (proof_of(proof=right["proof"].replace(line + "\n", ""), policy=policy()), "proven"),
        "forged": (proof_of(proof=right["proof"].replace(line, forged), policy=policy()), "cosignature"),
    }
    said = answers(checker, [given for given, _ in cases.values()])
    assert dict(zip(cases, said, strict=True)) == {name: code for name, (_, code) in cases.items()}
