#!/usr/bin/env python3
"""Check an export of an AIMS audit log, anywhere, without the project: Python 3.10 or newer and nothing else.

    python3 -I aims_verify.py BUNDLE [--vkey FILE-OR-KEY]... [--policy FILE]

BUNDLE is the zip, or a folder it was unpacked into. Exit codes:

    0  everything holds, under a key that you brought
    1  something does not hold; the first thing that is wrong is named, with its line
    2  asked wrongly, or the bundle can't be opened
    3  every hash holds, but the SIGNATURE was NOT CHECKED: neither the `cryptography` package nor `openssl` is here
    4  everything holds, but only under the key that stands in the bundle itself: bring the log's key with --vkey
    5  everything that is there holds, but the bundle names places of its range that it can't prove

What is proven, of which bytes, and how to do it without this file: docs/formats.md, "Exports".
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from typing import Any, Iterator  # noqa: UP035

GOOD, BAD, USAGE, UNSIGNED, OWN_KEY, GAPS = range(6)
FILES_MAX = 200
PLAIN_FLAGS = 0x080E  # how hard it was deflated, sizes behind the file, names in UTF-8: not encrypted, not patched
SMALL_MAX_BYTES = 1024 * 1024  # of manifest and checkpoint, which are read whole
LINE_MAX_BYTES = 65_535
TOTAL_MAX_BYTES = 1 << 40
CHUNK_BYTES = 256 * 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # flat: a path could lead out
HEX32 = re.compile(r"[0-9a-f]{64}")
LATER = re.compile(r"/g[1-9][0-9]*$")  # a later generation of a log: its indexes go on behind those before it
NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
LOG, COSIGNATURE = 1, 4  # kinds of Ed25519 keys
MARK = "\u2014 "
# RFC 8032 §7.1, test 2: whoever refuses this can't check Ed25519 at all.
KNOWN = ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
         b"\x72")  # fmt: skip


class Wrong(Exception):
    """The first thing that does not hold."""


class Unusable(Exception):
    """Nothing was checked: the bundle or an argument can't be read."""


class Bundle:
    """The files of a zip or folder, read as streams; nothing is ever unpacked to a disk."""

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path, self.is_zip = path, not os.path.isdir(path)
        try:
            self.sizes = self._of_zip() if self.is_zip else self._of_folder()
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise Unusable(f"{path} can't be opened as a zip or a folder: {error}") from error
        if len(self.sizes) > FILES_MAX or sum(self.sizes.values()) > max_bytes:
            raise Wrong(f"more than {FILES_MAX} files, or more than {max_bytes:,} bytes unpacked")
        self.claimed: dict[str, Any] = {}
        self.seen: set[str] = set()
        self.others: list[str] = []

    def _of_zip(self) -> dict[str, int]:
        with zipfile.ZipFile(self.path) as archive:
            self.infos = {info.filename: info for info in archive.infolist()}
            if len(self.infos) != len(archive.infolist()):
                raise Wrong("two files of one name in the zip")
        for name, info in self.infos.items():
            if not NAME.fullmatch(name):
                raise Wrong(f"a file name that leads elsewhere: {name!r}")
            if info.flag_bits & ~PLAIN_FLAGS or info.compress_type not in (0, 8):
                raise Wrong(f"{name}: encrypted, or compressed in another way than deflate")
            if not 0 <= info.header_offset < os.path.getsize(self.path):
                raise Wrong(f"{name}: the zip is damaged: nothing stands where the file should")
        return {name: info.file_size for name, info in self.infos.items()}

    def _of_folder(self) -> dict[str, int]:
        found = list(os.scandir(self.path))
        for each in found:
            if not NAME.fullmatch(each.name) or each.is_symlink() or not each.is_file():
                raise Wrong(f"no plain file: {each.name!r}")
        return {each.name: each.stat().st_size for each in found}

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a file; once they are through, note where size or SHA-256 are not the manifest's."""
        claim, digest, size, crc = self.claimed.get(name), hashlib.sha256(), 0, 0
        if name not in self.sizes or (claim is None and name != "manifest.json"):
            raise Wrong(f"{name} is missing" if name not in self.sizes else f"{name} is not in the manifest")
        for chunk in self._inflated(name) if self.is_zip else self._plain(name):
            digest.update(chunk)
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
            if size > self.sizes[name]:
                raise Wrong(f"{name}: longer than it says")
            yield chunk
        self.seen.add(name)
        if claim and (size, digest.hexdigest()) != (claim["size_bytes"], claim["sha256"]):
            self.others.append(name)  # said last: whoever reads on may name the line
        elif self.is_zip and crc != self.infos[name].CRC:
            raise Wrong(f"{name}: the zip is damaged: CRC-32")  # nothing else vouches for the manifest's own bytes

    def _plain(self, name: str) -> Iterator[bytes]:
        with open(os.path.join(self.path, name), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def _inflated(self, name: str) -> Iterator[bytes]:
        # Not ZipFile.open: it gives up at a wrong CRC, and we want to name the line.
        info = self.infos[name]
        with open(self.path, "rb") as file:
            file.seek(info.header_offset)
            head = file.read(30)
            if len(head) < 30 or head[:4] != b"PK\3\4":
                raise Wrong(f"{name}: the zip is damaged")
            named, more = struct.unpack("<HH", head[26:30])
            if file.read(named) != name.encode() or head[8:10] != struct.pack("<H", info.compress_type):
                raise Wrong(f"{name}: the zip names another file at its place")  # which other programs would unpack
            file.seek(more, 1)
            left, inflate = info.compress_size, zlib.decompressobj(-15)
            while left and (raw := file.read(min(CHUNK_BYTES, left))):
                left -= len(raw)
                if info.compress_type == 0:
                    yield raw
                    continue
                try:
                    while raw:
                        yield inflate.decompress(raw, CHUNK_BYTES)
                        raw = inflate.unconsumed_tail
                except zlib.error as error:
                    raise Wrong(f"{name}: the zip is damaged: {error}") from error
            yield inflate.flush()  # at most the end of the last match

    def lines(self, name: str, max_bytes: int = LINE_MAX_BYTES) -> Iterator[bytes]:
        """Yield the lines of a file without their ends."""
        held, number = b"", 0
        for chunk in self.chunks(name):
            *whole, held = (held + chunk).split(b"\n")
            for number, line in enumerate(whole, number + 1):  # noqa: B020
                if len(line) > max_bytes:
                    raise Wrong(f"{name} line {number}: longer than {max_bytes:,} bytes")
                yield line
            if len(held) > max_bytes:
                raise Wrong(f"{name} line {number + 1}: longer than {max_bytes:,} bytes")
        if held:
            raise Wrong(f"{name} line {number + 1}: cut off, it has no end")

    def text(self, name: str) -> str:
        """Return a small file whole."""
        if self.sizes.get(name, 0) > SMALL_MAX_BYTES:
            raise Wrong(f"{name}: larger than {SMALL_MAX_BYTES:,} bytes")
        try:
            return b"".join(self.chunks(name)).decode()
        except UnicodeDecodeError as error:
            raise Wrong(f"{name}: not UTF-8") from error


class Key:
    """A verifier key: ``name+id+base64``. Spec: C2SP signed-note."""

    def __init__(self, text: str, kinds: tuple[int, ...]) -> None:
        name, _, rest = text.strip().partition("+")
        ident, _, encoded = rest.partition("+")
        raw = unbase64(encoded, "a verifier key")
        self.text, self.name, self.kind, self.public = text.strip(), name, raw[:1], raw[1:]
        self.id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if not name or self.id.hex() != ident or len(raw) != 33 or raw[0] not in kinds:
            raise Wrong(f"not a verifier key that is known here: {text.strip()[:80]!r}")


class Trust:
    """Who must have signed: the log's keys, and the witnesses of a policy. Spec: C2SP tlog-policy."""

    def __init__(self, vkeys: list[str], policy: str | None, way: str) -> None:
        self.way = way
        self.groups: dict[str, tuple[int, list[str]]] = {}
        self.witnesses: dict[str, Key] = {}
        self.quorum = "none"
        self.logs = [Key(text, (LOG,)) for text in vkeys]
        for line in (policy or "").splitlines():
            self._rule(line.split())
        self.is_checked, self.is_own = True, False

    def _rule(self, words: list[str]) -> None:
        if not words or words[0].startswith("#"):
            return
        if words[0] == "log" and len(words) in (2, 3):
            self.logs.append(Key(words[1], (LOG,)))
        elif words[0] == "witness" and len(words) in (3, 4):
            self.witnesses[words[1]] = Key(words[2], (COSIGNATURE,))
        elif words[0] == "group" and len(words) > 3:
            members = sorted(set(words[3:]))
            count = {"any": "1", "all": str(len(members))}.get(words[2], words[2])
            if not NUMBER.fullmatch(count) or not 1 <= int(count) <= len(members):
                raise Unusable("the policy has a group that can't be reached")
            self.groups[words[1]] = int(count), members
        elif words[0] == "quorum" and len(words) == 2:
            self.quorum = words[1]
        else:
            raise Unusable(f"the policy has a line that is not known here: {' '.join(words)[:80]!r}")

    def check(self, name: str, note: str, origin: str, own: str) -> tuple[int, bytes]:
        """Return size and root of a checkpoint, its signatures verified as far as this machine can."""
        text, signatures = split_note(name, note)
        lines = text.split("\n")
        if len(lines) < 4 or lines[0] != origin or not NUMBER.fullmatch(lines[1]):
            raise Wrong(f"{name}: not a checkpoint of {origin}")
        root = unbase64(lines[2], name)
        if len(root) != 32:
            raise Wrong(f"{name}: a root of another length")
        if not self.logs:
            self.is_own = True
        trusted = [key for key in self.logs or [Key(own, (LOG,))] if key.name == origin]
        if not trusted:
            raise Wrong(f"{name}: it is a checkpoint of {origin}, for which you brought no key: another log")
        if not any(self._signed(key, text, signatures, name) for key in trusted):
            raise Wrong(f"{name}: not signed with the key of {origin}")
        if not self._reached(self.quorum, text, signatures, name, set()):
            raise Wrong(f"{name}: the policy's quorum {self.quorum!r} has not cosigned it")
        return int(lines[1]), root

    def _reached(self, who: str, text: str, signed: list[tuple[str, bytes]], name: str, above: set[str]) -> bool:
        if who == "none":
            return True
        if who in self.witnesses:
            return self._signed(self.witnesses[who], text, signed, name)
        if who not in self.groups or who in above:
            raise Unusable(f"the policy names {who!r}, which it does not explain")
        count, members = self.groups[who]
        return sum(self._reached(each, text, signed, name, above | {who}) for each in members) >= count

    def _signed(self, key: Key, text: str, signatures: list[tuple[str, bytes]], name: str) -> bool:
        for signer, raw in signatures:
            if signer == key.name and raw[:4] == key.id:
                message, signature = text.encode(), raw[4:]
                if key.kind[0] == COSIGNATURE:
                    message = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + message
                    signature = signature[8:]
                verdict = ed25519(key.public, signature, message, self.way)
                if verdict is False:
                    raise Wrong(f"{name}: the signature of {key.name} is wrong")
                self.is_checked &= verdict is not None
                return True
        return False


def verify(path: str, *, vkeys: list[str] | None = None, policy: str | None = None, way: str = "auto",
           max_bytes: int = TOTAL_MAX_BYTES) -> tuple[int, list[str]]:  # fmt: skip
    """Check a bundle; return the exit code and what is to be said."""
    try:
        trust = Trust(vkeys or [], policy, way)
        bundle = Bundle(path, max_bytes)
        return _verified(bundle, trust)
    except Wrong as wrong:
        return BAD, [f"NOT verified: {wrong}"]
    except Unusable as trouble:
        return USAGE, [str(trouble)]


def _verified(bundle: Bundle, trust: Trust) -> tuple[int, list[str]]:
    manifest = parse_manifest(bundle)
    said, gaps = [f"Export {manifest['export']} of {manifest['product']}, finished {manifest['finished_at']}"], 0
    checkpoints: dict[tuple[str, str], tuple[int, bytes]] = {}
    for each in manifest["sets"]:
        said.append(_set(bundle, trust, each, checkpoints))
        gaps += len(each["gaps"])
        said += [f"  NOT PROVEN: entries {gap['first']} to {gap['end'] - 1}: {gap['reason']}" for gap in each["gaps"]]
    for name in sorted(manifest["files"]):
        if name not in bundle.seen:
            for _ in bundle.chunks(name):
                pass
    if bundle.others:
        raise Wrong(f"{bundle.others[0]}: another file than the manifest's: size or SHA-256 differ")
    said += [f"Signed by {origin}" for origin in sorted({origin for _, origin in checkpoints})]
    if not trust.is_checked:
        return UNSIGNED, [*said, "SIGNATURE NOT CHECKED: install the cryptography package or openssl and run again."]
    if trust.is_own:
        return OWN_KEY, [
            *said,
            "The key came from the bundle itself: who made the bundle could have made the key. Bring it with --vkey.",
        ]
    if gaps:
        return GAPS, [*said, "What is there holds, but not the whole range is there."]
    return GOOD, [*said, "Verified."]


def _set(
    bundle: Bundle, trust: Trust, each: dict[str, Any], checkpoints: dict[tuple[str, str], tuple[int, bytes]]
) -> str:
    """Check one set of entries: its lines against leaves, leaves against the signed roots."""
    pairs = _leaves(bundle, each)
    whole = each["completeness"] == "proven"
    at = each["first"]
    for part in each["parts"]:
        name = part["checkpoint"]
        if (name, part["origin"]) not in checkpoints:
            checkpoints[name, part["origin"]] = trust.check(name, bundle.text(name), part["origin"], part["vkey"])
        size, root = checkpoints[name, part["origin"]]
        if part["base"] and not LATER.search(part["origin"]):
            raise Wrong("manifest.json: the first generation of a log counts from 0")
        if part["tree_size"] != size or not part["base"] <= part["first"] <= part["end"] <= part["base"] + size:
            raise Wrong(f"manifest.json: a part of {each['name']} does not fit its checkpoint")
        _cross(each, at, part["first"])
        hashes = (_hash(line, f"{part['proof']} line {n}") for n, line in enumerate(bundle.lines(part["proof"]), 1))
        if rebuild(_part(pairs, part, each, whole), size, hashes, part["proof"]) != root:
            raise Wrong(f"{each['leaves']}: with {part['proof']} it does not lead to the signed root of {name}")
        at = part["end"]
    _cross(each, at, each["end"])
    if next(pairs, None) is not None:
        raise Wrong(f"{each['data']}: more lines than the manifest has rows")
    kind = (
        "every entry of the range, none left out"
        if whole
        else "each is in the log; that the filter left out none is NOT proven"
    )
    return f"{each['data']}: {each['rows']:,} entries of [{each['first']}, {each['end']}): {kind}"


def _cross(each: dict[str, Any], at: int, to: int) -> None:
    """Go from the end of one part to the start of the next, over named gaps only."""
    while at != to:
        found = [gap["end"] for gap in each["gaps"] if gap["first"] == at < gap["end"]]
        if not found:
            raise Wrong(f"manifest.json: the parts of {each['name']} leave a hole that it does not name")
        at = found[0]


def _leaves(bundle: Bundle, each: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Yield index and leaf hash of each line, once the line is the leaf's."""
    lines, leaves = bundle.lines(each["data"]), bundle.lines(each["leaves"])
    number = 0
    for number, spelled in enumerate(leaves, 1):
        where = f"{each['data']} line {number}"
        index, _, claimed = spelled.decode("latin-1").partition(" ")
        if not NUMBER.fullmatch(index) or not HEX32.fullmatch(claimed):
            raise Wrong(f"{each['leaves']} line {number}: not an index and a hash")
        if (line := next(lines, None)) is None:
            raise Wrong(f"{where}: missing; entry {index} should stand there")
        if hashlib.sha256(b"\0" + line).hexdigest() != claimed:
            raise Wrong(f"{where}: changed; these are not the bytes of entry {index}")
        if not is_canonical(line):
            raise Wrong(f"{where}: not canonical JSON")
        yield int(index), bytes.fromhex(claimed)
    if next(lines, None) is not None:
        raise Wrong(f"{each['data']} line {number + 1}: too much; no leaf belongs to it")


def _part(
    pairs: Iterator[tuple[int, bytes]], part: dict[str, Any], each: dict[str, Any], whole: bool
) -> Iterator[tuple[int, bytes]]:
    """Yield the leaves of one part by their place in its tree. In a whole range each place must have its leaf."""
    before = part["first"] - 1
    for _ in range(part["rows"]):
        index, leaf = next(pairs, (-1, b""))
        if index <= before or index >= part["end"] or (whole and index != before + 1):
            raise Wrong(f"{each['leaves']}: after entry {before} comes {index}: left out, twice, or out of order")
        yield index - part["base"], leaf
        before = index
    if whole and before != part["end"] - 1:
        raise Wrong(f"{each['leaves']}: the range ends at entry {before}, it should at {part['end'] - 1}")


def rebuild(leaves: Iterator[tuple[int, bytes]], size: int, hashes: Iterator[bytes], name: str) -> bytes:
    """Return the root of a tree of ``size`` leaves from some of them and a proof, read from left to right."""
    held: list[tuple[int, bytes] | None] = [next(leaves, None)]

    def node(start: int, end: int) -> bytes:
        ahead = held[0]
        if ahead is None or ahead[0] >= end:
            if (given := next(hashes, None)) is None:
                raise Wrong(f"{name}: too short")
            return given
        if end - start == 1:
            held[0] = next(leaves, None)
            return ahead[1]
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        left = node(start, middle)
        return hashlib.sha256(b"\1" + left + node(middle, end)).digest()

    root = node(0, size) if size else hashlib.sha256(b"").digest()
    if held[0] is not None or next(hashes, None) is not None:
        raise Wrong(f"{name}: too long")
    return root


def parse_manifest(bundle: Bundle) -> dict[str, Any]:
    """Return the manifest, each member that is used here of its type, and the files exactly those it lists."""
    try:
        manifest: dict[str, Any] = json.loads(
            bundle.text("manifest.json"), object_pairs_hook=once, parse_float=_refuse, parse_constant=_refuse
        )
        files, sets = _typed(
            manifest, {"files": dict, "sets": list, "export": str, "product": str, "finished_at": str}
        )[:2]
        if manifest.get("typ") != "aims-audit-export" or manifest.get("v") != 1 or not sets:
            raise Wrong("manifest.json: not an export of version 1")
        for claim in files.values():
            _typed(claim, {"sha256": str, "size_bytes": int})
        for each in sets:
            _typed(each, {"name": str, "data": str, "leaves": str, "completeness": str, "rows": int, "first": int,
                          "end": int, "parts": list, "gaps": list})  # fmt: skip
            for part in each["parts"]:
                _typed(part, {"origin": str, "vkey": str, "checkpoint": str, "proof": str, "base": int, "first": int,
                              "end": int, "rows": int, "tree_size": int})  # fmt: skip
            for gap in each["gaps"]:
                _typed(gap, {"first": int, "end": int, "reason": str})
            if sum(part["rows"] for part in each["parts"]) != each["rows"]:
                raise Wrong(f"manifest.json: the parts of {each['name']} are not the whole of it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Wrong(f"manifest.json: can't be read: {error}") from error
    bundle.claimed = files
    if names := set(bundle.sizes) ^ set(files) ^ {"manifest.json"}:
        raise Wrong(f"{min(names)}: {'missing' if min(names) in files else 'not in the manifest'}")
    return manifest


def _typed(value: dict[str, Any], members: dict[str, type]) -> list[Any]:
    for name, kind in members.items():
        if type(value[name]) is not kind or (kind is int and value[name] < 0):
            raise Wrong(f"manifest.json: {name} is not what it should be")
    return [value[name] for name in members]


def is_canonical(line: bytes) -> bool:
    """Return whether bytes are the one canonical spelling of JSON without fractions. Spec: RFC 8785."""
    try:
        value = json.loads(line.decode(), object_pairs_hook=once, parse_float=_refuse, parse_constant=_refuse)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == line
    except (ValueError, RecursionError):
        return False


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object. Raises ValueError where one is there twice."""
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a member twice")
    return members


def _refuse(text: str) -> None:
    raise ValueError("a fraction")


def _hash(line: bytes, where: str) -> bytes:
    if not HEX32.fullmatch(line.decode("latin-1")):
        raise Wrong(f"{where}: not a hash")
    return bytes.fromhex(line.decode())


def split_note(name: str, note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return text and signatures of a signed note. Spec: C2SP signed-note."""
    at = note.rfind("\n\n")
    lines = note[at + 2 : -1].split("\n")
    if at < 0 or not note.endswith("\n") or len(lines) > 64:
        raise Wrong(f"{name}: not a signed note")
    parts = [(line.startswith(MARK), *line[len(MARK) :].partition(" ")) for line in lines]
    if not all(marked and blank for marked, _, blank, _ in parts):
        raise Wrong(f"{name}: a signature line that can't be read")
    return note[: at + 1], [(signer, unbase64(encoded, name)) for _, signer, _, encoded in parts]


def unbase64(text: str, where: str) -> bytes:
    """Return what canonical base64 spells. Raises Wrong."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Wrong(f"{where}: not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise Wrong(f"{where}: not canonical base64")
    return raw


def ed25519(public: bytes, signature: bytes, message: bytes, way: str = "auto") -> bool | None:
    """Return whether a signature is good; None where this machine can't tell. way: auto, cryptography, openssl, none."""
    if len(signature) != 64:
        return False
    if way in ("auto", "cryptography"):
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
            return True
        except ImportError:
            pass
        except InvalidSignature:
            return False
    program = shutil.which("openssl") if way in ("auto", "openssl") else None
    if program is None or not _openssl(program, bytes.fromhex(KNOWN[0]), bytes.fromhex(KNOWN[1]), KNOWN[2]):
        return None
    return _openssl(program, public, signature, message)


def _openssl(program: str, public: bytes, signature: bytes, message: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + public).decode()
        pem = f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n".encode()
        for name, raw in (("key", pem), ("sig", signature), ("msg", message)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(raw)
        command = [program, "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "msg", "-sigfile", "sig"]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=30).returncode == 0  # noqa: S603


def shown(said: list[str]) -> str:
    """Return what is to be said, with nothing in it that a terminal would obey."""
    return "\n".join("".join(letter if letter.isprintable() else "?" for letter in line) for line in said)


def _argument(text: str) -> str:
    if not os.path.isfile(text):
        return text
    with open(text, encoding="utf-8") as file:
        return file.read(SMALL_MAX_BYTES)


def main(arguments: list[str] | None = None) -> int:
    """Check what the command line names; print what was found."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument(
        "--vkey",
        action="append",
        default=[],
        help="the log's verifier key, or a file that holds it; repeat for generations",
    )
    parser.add_argument("--policy", help="a C2SP tlog-policy file: log keys, witnesses and their quorum")
    parser.add_argument("--signatures", choices=["auto", "cryptography", "openssl", "none"], default="auto")
    parser.add_argument("--max-bytes", type=int, default=TOTAL_MAX_BYTES, help="refuse bundles that unpack to more")
    asked = parser.parse_args(arguments)
    try:
        policy = _argument(asked.policy) if asked.policy else None
        vkeys = [line for text in asked.vkey for line in _argument(text).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        print(f"an argument can't be read: {error}", file=sys.stderr)
        return USAGE
    code, said = verify(asked.bundle, vkeys=vkeys, policy=policy, way=asked.signatures, max_bytes=asked.max_bytes)
    print(shown(said), file=sys.stdout if code not in (BAD, USAGE) else sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
