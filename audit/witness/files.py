"""The files of a witness: its name and key, the logs it knows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from audit import notes, policy
from audit.notes import VerifierKey

KEY, NAME, MEMORY = "witness.key", "witness.name", "witness.sqlite3"


class NotSetUp(Exception):
    """A folder that holds no witness, or a file in it that can't be used. The message says which, and what now."""


def make(folder: Path, name: str) -> None:
    """Make the name and the key of a witness, readable by their owner only. Raises: NotSetUp where there is one."""
    try:
        notes.parse_vkey(str(notes.key_of(Ed25519PrivateKey.generate(), name, notes.COSIGNATURE)))
    except notes.NoteRefused as error:
        raise NotSetUp(f"{name!r} can't be a key's name: no blanks, no plus sign; best a host and a path") from error
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_once(folder / KEY, pem)
    _write_once(folder / NAME, name.encode() + b"\n")


def load(folder: Path) -> tuple[str, Ed25519PrivateKey]:
    """Return the name and the key of the witness in a folder. Raises: NotSetUp."""
    path = folder / KEY
    try:
        if path.stat().st_mode & 0o077:
            raise NotSetUp(f"others may read {path}. Say: chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
        name = (folder / NAME).read_text().strip()
    except (OSError, ValueError) as error:
        raise NotSetUp(f"there is no witness in {folder}. Say: manage.py witness --init NAME --dir {folder}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise NotSetUp(f"the key in {path} is not an Ed25519 key")
    return name, key


class Logs:
    """The logs in a file, which is read again when it changed: a new generation needs no restart.

    The file is a ``tlog-policy``, or has one verifier key a line (several generations may share a key, which a policy
    can't say). What can't be read any more changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._logs = read_logs(path)

    def __call__(self) -> Mapping[str, tuple[VerifierKey, ...]]:
        """Return the keys that are trusted for each origin."""
        try:
            if (stamp := self._stamp()) != self._seen:
                self._logs, self._seen = read_logs(self._path), stamp
        except (NotSetUp, OSError):
            return self._logs
        return self._logs

    def _stamp(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError as error:
            raise NotSetUp(f"there is no file {self._path} with the logs to witness") from error
        return stat.st_mtime_ns, stat.st_size


def read_logs(path: Path) -> dict[str, tuple[VerifierKey, ...]]:
    """Return the keys in a file of logs, by origin. Raises: NotSetUp, naming the line."""
    raw = path.read_bytes()
    try:
        lines = [line.strip() for line in raw.decode().splitlines()]
        listed = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
        if any(len(line.split()) > 1 for _, line in listed):
            keys = policy.parse(raw).logs
        else:
            keys = tuple(_key(number, line) for number, line in listed)
    except ValueError as error:
        raise NotSetUp(f"{path}: {error}") from error
    if not keys:
        raise NotSetUp(f"{path} names no log")
    found: dict[str, tuple[VerifierKey, ...]] = {}
    for key in keys:
        found[key.name] = (*found.get(key.name, ()), key)
    return found


def _key(number: int, line: str) -> VerifierKey:
    try:
        key = notes.parse_vkey(line)
    except notes.NoteRefused as error:
        raise policy.PolicyRefused(number, str(error)) from error
    if key.kind == notes.COSIGNATURE:
        raise policy.PolicyRefused(number, "the key of a witness, not of a log")
    return key


def _write_once(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise NotSetUp(f"{path} is there already: a witness keeps its key for life") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
