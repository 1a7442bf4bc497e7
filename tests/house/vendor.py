"""Bring third-party files for the browser into the tree, or check that what is there is what was published.

    python -m tests.house.vendor            fetch, check the integrity, copy
    python -m tests.house.vendor --check    the same into a temporary folder; exit 1 on any difference
    python -m tests.house.vendor --pin      write the integrity of a new version into vendor.json first

``static/vendor/vendor.json`` names each package, its version, its sha512 and the few files that are taken. The
result is committed, so that nobody who runs or develops the console needs npm; only this script does.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "static" / "vendor" / "vendor.json"
PACK_TIMEOUT_S = 120

Package = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run one of the three modes; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--pin", action="store_true")
    options = parser.parse_args(arguments)
    packages: list[Package] = json.loads(LIST.read_text())["packages"]
    with tempfile.TemporaryDirectory() as scratch:
        files = [made for package in packages for made in _files_of(package, Path(scratch), is_pinning=options.pin)]
    if options.pin:
        LIST.write_text(json.dumps({"packages": packages}, indent=2) + "\n")
    return _compare(files) if options.check else _write(files)


def _files_of(package: Package, scratch: Path, *, is_pinning: bool) -> list[tuple[Path, bytes]]:
    archive = _pack(package, scratch)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if is_pinning:
        package["integrity"] = integrity
    if package["integrity"] != integrity:
        raise SystemExit(f"{package['name']}: integrity is {integrity}, vendor.json says {package['integrity']}")
    into = ROOT / package["into"]
    with tarfile.open(archive) as tar:
        made = [(into / name, _read(tar, path)) for path, name in package["files"].items()]
        if sprite := package.get("sprite"):
            made.append((into / sprite["into"], _sprite(tar, sprite["from"], sprite["icons"])))
    # A fixed time keeps the compressed copy the same on every machine.
    small = set(package.get("compress", ()))
    packed = [
        (path.with_name(path.name + ".gz"), gzip.compress(raw, 9, mtime=0)) for path, raw in made if path.name in small
    ]
    return made + packed


def _pack(package: Package, scratch: Path) -> Path:
    spec = f"{package['name']}@{package['version']}"
    command = ["npm", "pack", spec, "--silent", "--pack-destination", str(scratch)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PACK_TIMEOUT_S)
    return scratch / done.stdout.strip().splitlines()[-1]


def _read(tar: tarfile.TarFile, path: str) -> bytes:
    member = tar.extractfile(f"package/{path}")
    assert member is not None, path
    return member.read()


def _sprite(tar: tarfile.TarFile, folder: str, icons: list[str]) -> bytes:
    symbols = "\n".join(_symbol(name, _read(tar, f"{folder}/{name}.svg").decode()) for name in icons)
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{symbols}\n</svg>\n'.encode()


def _symbol(name: str, svg: str) -> str:
    inner = re.sub(r"\s*\n\s*", "", svg.partition("<svg")[2].partition(">")[2].rpartition("</svg>")[0])
    return f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>'


def _compare(files: list[tuple[Path, bytes]]) -> int:
    wrong = [path for path, raw in files if not path.is_file() or path.read_bytes() != raw]
    for path in wrong:
        print(f"differs: {path.relative_to(ROOT)}")
    return 1 if wrong else 0


def _write(files: list[tuple[Path, bytes]]) -> int:
    for path, raw in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        print(f"{path.relative_to(ROOT)}  {len(raw):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
