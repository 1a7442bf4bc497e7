"""Signed notes, checkpoints, verifier keys and proof files. Pure.

Spec: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0, tlog-cosignature, tlog-proof v1.
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
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.merkle import HASH_BYTES, leaf_hash, verify_inclusion

ED25519 = 0x01
COSIGNATURE = 0x04
MLDSA_COSIGNATURE = 0x06
COSIGNATURES = frozenset({COSIGNATURE, MLDSA_COSIGNATURE})
SIGNATURES_MAX = 64  # of the log, and of as many witnesses as a policy may name
NOTE_MAX_BYTES = 64 * 1024
TIME_MAX = 2**63 - 1  # tlog-cosignature, Format
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_PUBLIC_BYTES = {ED25519: 32, COSIGNATURE: 32, MLDSA_COSIGNATURE: 1312}
_LABEL = b"subtree/v1\n\0"  # tlog-cosignature, ML-DSA-44 signed message
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
        return f"{self.name}+{self.id.hex()}+{base64_of(bytes([self.kind]) + self.public)}"

    def verify(self, text: str, signature: bytes) -> None:
        """Check a signature over a note's text. Raises: NoteRefused."""
        message = text.encode()
        if self.kind in COSIGNATURES:
            moment, signature = int.from_bytes(signature[:8]), signature[8:]
            if not 0 < moment <= TIME_MAX:
                raise NoteRefused(f"the cosignature of {self.name} has no time")
            message = _cosigned_message(self, text, moment)
        try:
            self._key().verify(signature, message)
        except InvalidSignature as error:
            raise NoteRefused(f"the signature of {self.name} is wrong") from error

    def _key(self) -> Ed25519PublicKey | MLDSA44PublicKey:
        if self.kind == MLDSA_COSIGNATURE:
            return MLDSA44PublicKey.from_public_bytes(self.public)
        return Ed25519PublicKey.from_public_bytes(self.public)


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head: the log's identity, how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64_of(self.root)}\n"


@dataclass(frozen=True)
class Proof:
    """An inclusion proof that travels with the checkpoint it leads to."""

    index: int
    hashes: tuple[bytes, ...]
    note: str


def key_of(private: Ed25519PrivateKey, name: str, kind: int = ED25519) -> VerifierKey:
    """Return the verifier key of a log's signing key, or with COSIGNATURE of a witness's."""
    return VerifierKey(name, kind, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def parse_vkey(text: str) -> VerifierKey:
    """Return the key that ``name+id+base64`` spells. Raises: NoteRefused."""
    parts = text.split("+", 2)  # base64 may hold a plus sign
    if len(parts) != 3 or not _is_name(parts[0]):
        raise NoteRefused("not a verifier key")
    raw = _unb64(parts[2])
    if not raw or len(raw) - 1 != _PUBLIC_BYTES.get(raw[0]):
        raise NoteRefused("a kind of key that is not known here")
    key = VerifierKey(parts[0], raw[0], raw[1:])
    if key.id.hex() != parts[1]:
        raise NoteRefused("the key has another id")
    return key


def sign(checkpoint: Checkpoint, private: Ed25519PrivateKey) -> str:
    """Return the signed note of a checkpoint, under the log's origin as key name."""
    text = checkpoint.text()
    signature = key_of(private, checkpoint.origin).id + private.sign(text.encode())
    return f"{text}\n{_MARK}{checkpoint.origin} {base64_of(signature)}\n"


def cosign(text: str, private: Ed25519PrivateKey, name: str, *, now: int) -> str:
    """Return a witness's signature line over a checkpoint's text, with its end of line.

    now: POSIX seconds, of which the cosignature says that no larger tree was seen before. Spec: tlog-cosignature.
    """
    key = key_of(private, name, COSIGNATURE)
    signature = key.id + now.to_bytes(8) + private.sign(_cosigned_message(key, text, now))
    return f"{_MARK}{name} {base64_of(signature)}\n"


def cosignatures(note: str, keys: Collection[VerifierKey]) -> dict[VerifierKey, int]:
    """Return who of the witnesses cosigned a checkpoint, and when: POSIX seconds, the newest of several.

    Lines of unknown keys are ignored. Raises: NoteRefused when a known one's signature is wrong.
    """
    text, signatures = _split(note)
    known = {(key.name, key.id): key for key in keys if key.kind in COSIGNATURES}
    found: dict[VerifierKey, int] = {}
    for name, raw in signatures:
        if key := known.get((name, raw[:4])):
            key.verify(text, raw[4:])
            found[key] = max(found.get(key, 0), int.from_bytes(raw[4:12]))
    return found


def lines_of(note: str, keys: Collection[VerifierKey]) -> str:
    """Return the signature lines of these keys in a note, each with its end of line; unverified. Raises: NoteRefused."""
    known = {(key.name, key.id) for key in keys}
    text, signatures = _split(note)
    lines = note[len(text) + 1 : -1].split("\n")
    return "".join(f"{line}\n" for line, (name, raw) in zip(lines, signatures, strict=True) if (name, raw[:4]) in known)


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
    head = parse_checkpoint(open_note(note, keys))
    if head.origin != origin:
        raise NoteRefused("not a checkpoint of this log")
    return head


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in a note's text; nothing about it is verified. Raises: NoteRefused."""
    lines = text.split("\n")
    # tlog-checkpoint, Note text: at least three lines, none of them empty.
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _DECIMAL.fullmatch(lines[1]):
        raise NoteRefused("not a checkpoint")
    root = _unb64(lines[2])
    if len(root) != HASH_BYTES:
        raise NoteRefused("a root of another length")
    return Checkpoint(lines[0], int(lines[1]), root)


def text_of(note: str) -> str:
    """Return the text of a note, unverified: to find out whose keys it needs. Raises: NoteRefused."""
    return _split(note)[0]


def write_proof(index: int, hashes: Sequence[bytes], note: str) -> str:
    """Return the text of a ``.tlog-proof`` file. Spec: C2SP tlog-proof."""
    lines = [PROOF_HEADER, f"index {index}", *map(base64_of, hashes)]
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


def _cosigned_message(key: VerifierKey, text: str, moment: int) -> bytes:
    """Return what a witness signs. Spec: tlog-cosignature, Ed25519 signed message, ML-DSA-44 signed message."""
    if key.kind == COSIGNATURE:
        return f"cosignature/v1\ntime {moment}\n{text}".encode()
    head, name = parse_checkpoint(text), key.name.encode()
    origin = head.origin.encode()
    if not (len(name) < 256 and len(origin) < 256):
        raise NoteRefused("a name longer than 255 bytes")
    named = bytes([len(name)]) + name + moment.to_bytes(8) + bytes([len(origin)]) + origin
    return _LABEL + named + (0).to_bytes(8) + head.size.to_bytes(8) + head.root


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


def base64_of(raw: bytes) -> str:
    """Return bytes as C2SP formats spell them."""
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteRefused("not base64") from error
    if base64_of(raw) != text:
        raise NoteRefused("not canonical base64")
    return raw
