"""Checks that an entry stands in a signed log, from three files and nothing else. Pure.

Written a second time on purpose: the log's own code must not be the only judge of it.
Spec: RFC 9162 §2.1.3.2; c2sp.org/tlog-proof@v1, signed-note, tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEADER = "c2sp.org/tlog-proof@v1"
PROOF_HASHES_MAX = 63
_ED25519 = 1


class ProofRefused(ValueError):
    """The proof does not show what it claims; the message says why."""


@dataclass(frozen=True)
class Included:
    """Where the entry stands: its index, in a tree of this size, in the log of this origin."""

    origin: str
    index: int
    size: int


@dataclass(frozen=True)
class _Key:
    name: str
    key_id: bytes
    public: Ed25519PublicKey


def check(entry: bytes, *, proof: str, vkey: str) -> Included:
    """Return where the entry stands. Raises ProofRefused unless the proof leads to a checkpoint signed by ``vkey``."""
    index, hashes, note = _parse_proof(proof)
    key = _parse_vkey(vkey.strip())
    origin, size, root = _parse_checkpoint(_verified_text(note, key))
    if origin != key.name:
        raise ProofRefused("the checkpoint is of another log")
    if (
        _root_from(
            hashlib.sha256(b"\x00" + entry).digest(),
            index=index,
            size=size,
            hashes=hashes,
        )
        != root
    ):
        raise ProofRefused("the entry is not in the tree that the checkpoint signs")
    return Included(origin, index, size)


def _parse_proof(proof: str) -> tuple[int, list[bytes], str]:
    head, blank, note = proof.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != HEADER:
        raise ProofRefused("not a tlog-proof")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    if not lines or not lines[0].startswith("index "):
        raise ProofRefused("no index")
    if len(lines) > PROOF_HASHES_MAX + 1:
        raise ProofRefused("too many hashes")
    return (
        _number(lines[0].removeprefix("index ")),
        [_hash(line) for line in lines[1:]],
        note,
    )


def _parse_vkey(vkey: str) -> _Key:
    # The base64 of the key may hold a plus sign, so split twice at most.
    name, _, rest = vkey.partition("+")
    key_id, _, material = rest.partition("+")
    raw = _base64(material)
    if not name or len(raw) != 33 or raw[0] != _ED25519:
        raise ProofRefused("not an Ed25519 verifier key")
    expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if key_id != expected.hex():
        raise ProofRefused("the verifier key's id does not match it")
    return _Key(name, expected, Ed25519PublicKey.from_public_bytes(raw[1:]))


def _verified_text(note: str, key: _Key) -> str:
    text, blank, signatures = note.rpartition("\n\n")
    if not blank:
        raise ProofRefused("the checkpoint is not a signed note")
    text += "\n"
    for line in signatures.removesuffix("\n").split("\n"):
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = _base64(encoded)
        if mark == "\u2014" and name == key.name and raw[:4] == key.key_id:
            return _signed(text, raw[4:], key)
    raise ProofRefused("no signature of the expected log")


def _signed(text: str, signature: bytes, key: _Key) -> str:
    try:
        key.public.verify(signature, text.encode())
    except InvalidSignature as error:
        raise ProofRefused("the checkpoint's signature is wrong") from error
    return text


def _parse_checkpoint(text: str) -> tuple[str, int, bytes]:
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1]:
        raise ProofRefused("not a checkpoint")
    return lines[0], _number(lines[1]), _hash(lines[2])


def _root_from(leaf: bytes, *, index: int, size: int, hashes: list[bytes]) -> bytes:
    """Return the root that the path leads to. Spec: RFC 9162 §2.1.3.2, its names."""
    if index >= size:
        raise ProofRefused("the index is beyond the tree")
    fn, sn, r = index, size - 1, leaf
    for p in hashes:
        if sn == 0:
            raise ProofRefused("too many hashes")
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofRefused("too few hashes")
    return r


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or (len(text) > 1 and text[0] == "0") or len(text) > 19:
        raise ProofRefused("not a plain decimal number")
    return int(text)


def _hash(text: str) -> bytes:
    raw = _base64(text)
    if len(raw) != 32:
        raise ProofRefused("not a SHA-256 hash")
    return raw


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofRefused("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise ProofRefused("not canonical base64")
    return raw
