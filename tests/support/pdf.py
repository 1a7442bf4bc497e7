"""The words of a PDF as typst writes it: enough of ISO 32000 to read back what was set, and no more."""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(\d+) 0 obj(.*?)endobj", re.S)
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.S)
_FONTS = re.compile(rb"/Font<<(.*?)>>", re.S)
_REFERENCE = re.compile(rb"/(\w+) (\d+) 0 R")
_SHOWN = re.compile(
    rb"/(f\d+) [\d.]+ Tf|<([0-9a-fA-F]*)>|\((?:\\.|[^\\()]|\((?:\\.|[^\\()])*\))*\)|(?<=[\s\])])(Tm|Td|T\*)\b", re.S
)
_BFCHAR = re.compile(rb"<([0-9A-Fa-f]{4})> ?<([0-9A-Fa-f]+)>")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def text_of(pdf: bytes) -> str:
    """Return the text of each page in the order in which it is drawn, blanks squeezed."""
    objects = {int(found[1]): found[2] for found in _OBJECT.finditer(pdf)}
    pages = [body for body in objects.values() if re.search(rb"/Type ?/Page\b(?!s)", body)]
    return " ".join(" ".join(_page(objects, page).split()) for page in pages)


def pages_of(pdf: bytes) -> int:
    """Return how many pages it has."""
    return len(re.findall(rb"/Type ?/Page\b(?!s)", pdf))


def _page(objects: dict[int, bytes], page: bytes) -> str:
    resources = _pointed(objects, page, b"Resources")
    found = _FONTS.search(resources)
    fonts = {name: _map(objects, int(ref)) for name, ref in _REFERENCE.findall(found[1])} if found else {}
    font: dict[bytes, str] = {}
    said = []
    for each in _SHOWN.finditer(_unfolded(_pointed(objects, page, b"Contents"))):
        if each[1]:
            font = fonts[each[1]]
        elif each[3]:
            said.append(" ")
        else:
            raw = bytes.fromhex(each[2].decode()) if each[2] is not None else _literal(each[0][1:-1])
            said += [font.get(raw[at : at + 2], "") for at in range(0, len(raw), 2)]
    return "".join(said)


def _pointed(objects: dict[int, bytes], body: bytes, name: bytes) -> bytes:
    found = re.search(rb"/" + name + rb" (\d+) 0 R", body)
    return objects[int(found[1])] if found else b""


def _map(objects: dict[int, bytes], font: int) -> dict[bytes, str]:
    cmap = _unfolded(_pointed(objects, objects[font], b"ToUnicode"))
    return {
        bytes.fromhex(code.decode()): bytes.fromhex(text.decode()).decode("utf-16-be")
        for code, text in _BFCHAR.findall(cmap)
    }


def _unfolded(body: bytes) -> bytes:
    found = _STREAM.search(body)
    return zlib.decompressobj().decompress(found[1]) if found else b""


def _literal(raw: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        said = found[1]
        return bytes([int(said, 8)]) if said.isdigit() else _ESCAPES.get(said, said)

    return re.sub(rb"\\([0-7]{1,3}|.)", one, raw, flags=re.S)
