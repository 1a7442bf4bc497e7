"""Signed notes, checkpoints, verifier keys and proof files. Pure.

Spec: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1, tlog-proof v1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.merkle import HASH_BYTES, leaf_hash, verify_inclusion

ED25519 = 0x01
COSIGNATURE = 0x04
SIGNATURES_MAX = 16
NOTE_MAX_BYTES = 64 * 1024
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_DECIMAL = re.compile(r"0|[1-9]\d{0,18}")
_MARK = "\N{EM DASH} "


class NoteRefused(ValueError):
    """A note, checkpoint or proof that is malformed, or signed by nobody we know."""


@dataclass(frozen=True)
class VerifierKey:
    """A public key with the name it signs under."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of the hash over name, kind and key. Spec: signed-note, Signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_b64(bytes([self.kind]) + self.public)}"

    def verify(self, text: str, signature: bytes) -> None:
        """Check a signature over a note's text. Raises: NoteRefused."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            moment, signature = int.from_bytes(signature[:8]), signature[8:]
            message = f"cosignature/v1\ntime {moment}\n".encode() + message
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise NoteRefused(f"the signature of {self.name} is wrong") from error


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head: the log's identity, how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True)
class Proof:
    """An inclusion proof that travels with the checkpoint it leads to."""

    index: int
    hashes: tuple[bytes, ...]
    note: str


def key_of(private: Ed25519PrivateKey, name: str) -> VerifierKey:
    """Return the verifier key of a log's signing key."""
    return VerifierKey(name, ED25519, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def parse_vkey(text: str) -> VerifierKey:
    """Return the key that ``name+id+base64`` spells. Raises: NoteRefused."""
    parts = text.split("+", 2)  # base64 may hold a plus sign
    if len(parts) != 3 or not _is_name(parts[0]):
        raise NoteRefused("not a verifier key")
    raw = _unb64(parts[2])
    if len(raw) != 1 + HASH_BYTES or raw[0] not in (ED25519, COSIGNATURE):
        raise NoteRefused("a kind of key that is not known here")
    key = VerifierKey(parts[0], raw[0], raw[1:])
    if key.id.hex() != parts[1]:
        raise NoteRefused("the key has another id")
    return key


def sign(checkpoint: Checkpoint, private: Ed25519PrivateKey) -> str:
    """Return the signed note of a checkpoint, under the log's origin as key name."""
    text = checkpoint.text()
    signature = key_of(private, checkpoint.origin).id + private.sign(text.encode())
    return f"{text}\n{_MARK}{checkpoint.origin} {_b64(signature)}\n"


def open_note(note: str, keys: Collection[VerifierKey]) -> str:
    """Return the text of a note that at least one of the keys has signed.

    Unknown keys are ignored; a known key with a wrong signature spoils the note. Raises: NoteRefused.
    """
    text, signatures = _split(note)
    known = {(key.name, key.id): key for key in keys}
    verified = 0
    for name, raw in signatures:
        if key := known.get((name, raw[:4])):
            key.verify(text, raw[4:])
            verified += 1
    if not verified:
        raise NoteRefused("signed by nobody we know")
    return text


def open_checkpoint(note: str, keys: Collection[VerifierKey], *, origin: str) -> Checkpoint:
    """Return the checkpoint in a note, its signature verified. Raises: NoteRefused."""
    lines = open_note(note, keys).split("\n")
    if len(lines) < 4 or lines[-1] or lines[0] != origin or not _DECIMAL.fullmatch(lines[1]):
        raise NoteRefused("not a checkpoint of this log")
    root = _unb64(lines[2])
    if len(root) != HASH_BYTES:
        raise NoteRefused("a root of another length")
    return Checkpoint(lines[0], int(lines[1]), root)


def write_proof(index: int, hashes: Sequence[bytes], note: str) -> str:
    """Return the text of a ``.tlog-proof`` file. Spec: C2SP tlog-proof."""
    lines = [PROOF_HEADER, f"index {index}", *map(_b64, hashes)]
    return "\n".join(lines) + "\n\n" + note


def parse_proof(text: str) -> Proof:
    """Return the proof in a ``.tlog-proof`` file; nothing about it is verified yet. Raises: NoteRefused."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != PROOF_HEADER:
        raise NoteRefused("not a proof file")
    if lines[1:] and lines[1].startswith("extra "):
        del lines[1]  # unauthenticated, and of no use to us
    if len(lines) < 2 or not _DECIMAL.fullmatch(lines[1].removeprefix("index ")) or lines[1][:6] != "index ":
        raise NoteRefused("a proof without an index")
    hashes = tuple(map(_unb64, lines[2:]))
    if any(len(hashed) != HASH_BYTES for hashed in hashes):
        raise NoteRefused("a hash of another length")
    return Proof(int(lines[1][6:]), hashes, note)


def verify_proof(text: str, *, entry: bytes, keys: Collection[VerifierKey], origin: str) -> Checkpoint:
    """Check that an entry's bytes are in the tree of a signed checkpoint. Raises: NoteRefused, ProofRefused."""
    proof = parse_proof(text)
    head = open_checkpoint(proof.note, keys, origin=origin)
    verify_inclusion(leaf=leaf_hash(entry), index=proof.index, size=head.size, proof=proof.hashes, root=head.root)
    return head


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note.encode()) > NOTE_MAX_BYTES or any(ord(letter) < 0x20 and letter != "\n" for letter in note):
        raise NoteRefused("control characters, or too long")
    at = note.rfind("\n\n")  # the last blank line: the text itself may have some
    if at < 0 or not note.endswith("\n"):
        raise NoteRefused("a note without signatures")
    lines = note[at + 2 : -1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteRefused("too many signatures")
    return note[: at + 1], [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes]:
    name, blank, encoded = line.removeprefix(_MARK).partition(" ")
    raw = _unb64(encoded)
    if not line.startswith(_MARK) or not blank or not _is_name(name) or len(raw) < 5:
        raise NoteRefused("a signature line that can't be read")
    return name, raw


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(map(str.isspace, name))


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteRefused("not base64") from error
    if _b64(raw) != text:
        raise NoteRefused("not canonical base64")
    return raw
