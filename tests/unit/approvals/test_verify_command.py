"""``manage.py verify --receipt``: works from files alone, and says which step failed."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.core.management.base import CommandError

from aims.kit.ids import tagged_hash
from audit import notes
from audit.canonical import encode
from tests.unit.approvals.evidence import Issuer, Signer, claims_of, log_with, statement_with

R = statement_with()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    issuer = Issuer()
    receipt = issuer.sign(claims_of(Signer("usr_ada").sign(R), statement=R))
    entry = encode({"data": {"request_hash": tagged_hash(R), "receipt_hash": tagged_hash(receipt.encode())}})
    proof, vkey = log_with(entry)
    (tmp_path / "receipt.jwt").write_text(receipt + "\n")
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks))
    (tmp_path / "entry.json").write_bytes(entry)
    (tmp_path / "entry.tlog-proof").write_text(proof)
    (tmp_path / "log.vkey").write_text(vkey + "\n")
    return tmp_path


def verify(bundle: Path, *names: str) -> str:
    files = {
        "receipt": "receipt.jwt",
        "jwks": "jwks.json",
        "proof": "entry.tlog-proof",
        "vkey": "log.vkey",
        "policy": "policy",
    }
    out = StringIO()
    call_command("verify", *[part for name in names for part in (f"--{name}", str(bundle / files[name]))], stdout=out)
    return out.getvalue()


def test_a_receipt_verifies_without_a_database(bundle: Path) -> None:
    told = verify(bundle, "receipt", "jwks")
    assert "Verified: receipt rcp_1" in told
    assert "no proof was given" in told


def test_a_bundle_verifies_into_the_log(bundle: Path) -> None:
    assert "entry 0 of 2, aims.example/log/abc" in verify(bundle, "receipt", "jwks", "proof", "vkey")


def test_a_failure_names_its_step(bundle: Path) -> None:
    receipt = (bundle / "receipt.jwt").read_text().strip()
    (bundle / "receipt.jwt").write_text(receipt[:-4] + ("AAAA" if receipt[-4:] != "AAAA" else "BBBB"))
    with pytest.raises(CommandError, match="NOT verified, at step jws"):
        verify(bundle, "receipt", "jwks")


@pytest.mark.parametrize("names", [("receipt",), ("receipt", "jwks", "proof")])
def test_half_a_question_is_refused(bundle: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="--"):
        verify(bundle, *names)


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00"])
def test_a_file_that_is_no_jwks_is_named(bundle: Path, content: str) -> None:
    (bundle / "jwks.json").write_text(content)
    with pytest.raises(CommandError, match=r"jwks\.json is not a JWKS"):
        verify(bundle, "receipt", "jwks")


def test_a_policy_asks_for_cosignatures_on_the_checkpoint(bundle: Path) -> None:
    key = Ed25519PrivateKey.generate()
    vkey = notes.key_of(key, "w.example", notes.COSIGNATURE)
    (bundle / "policy").write_text(f"witness w {vkey}\nquorum w\n")
    asked = ("receipt", "jwks", "proof", "vkey", "policy")
    with pytest.raises(CommandError, match="at step witnesses"):
        verify(bundle, *asked)
    proof = (bundle / "entry.tlog-proof").read_text()
    text = notes.text_of(notes.parse_proof(proof).note)
    (bundle / "entry.tlog-proof").write_text(proof + notes.cosign(text, key, "w.example", now=1_795_000_000))
    assert "witnessed  w" in verify(bundle, *asked)
    (bundle / "policy").write_text("witness w\n")
    with pytest.raises(CommandError, match="line 1"):
        verify(bundle, *asked)
    with pytest.raises(CommandError, match="--policy needs --proof"):
        verify(bundle, "receipt", "jwks", "policy")
