"""Makes the environment on a machine that has nothing but Python: ``.venv`` from the hashed lock, then starts over in it.

Standard library only. Does nothing where the dependencies already import, and where ``AIMS_NO_BOOTSTRAP`` is set.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = "aims-lock.sha256"
FLOOR = (3, 11)


def ensure(argv: list[str]) -> None:
    """Return if the command can run here; else install and replace this process. Exits with one line if it cannot."""
    if os.environ.get("AIMS_NO_BOOTSTRAP") == "1":
        return
    if sys.version_info < FLOOR:
        sys.exit(f"AIMS Console needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    is_test = argv[1:2] == ["test"]
    lock = ROOT / "requirements" / ("dev.txt" if is_test else "run.txt")
    is_inside = Path(sys.prefix).resolve() == VENV.resolve()
    if not is_inside and can_import(is_test):
        return  # somebody else's environment: a container, uv run
    if not is_fresh(lock):
        install(lock)
    if not is_inside:
        os.environ["VIRTUAL_ENV"] = str(VENV)
        os.execv(python_of(VENV), [str(python_of(VENV)), *argv])  # noqa: S606


def can_import(is_test: bool) -> bool:
    """Return whether the dependencies are here: Django stands for all of them, pytest for those of the tests."""
    return find_spec("django") is not None and (not is_test or find_spec("pytest") is not None)


def is_fresh(lock: Path) -> bool:
    """Return whether ``.venv`` holds this lock, or the development lock of the same checkout, which holds more."""
    try:
        stamped = (VENV / STAMP).read_text().split()
    except FileNotFoundError:
        return False
    return digest(lock) in stamped


def install(lock: Path) -> None:
    """Fill ``.venv`` from the lock, by uv, or by pip where uv cannot be had. The stamp comes last: a crash reinstalls."""
    say(f"Installing from {lock.relative_to(ROOT)} into .venv (once) …")
    make_venv()
    python = str(python_of(VENV))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--require-hashes", "-r", str(lock)]
    has_uv = run([*pip, "uv"]) and run([python, "-m", "uv", "pip", "install", "--quiet", "--python", python, *wanted])
    if not has_uv and not run([*pip, *wanted], quiet=False):
        sys.exit("The dependencies could not be installed. Is a package registry within reach?")
    (VENV / STAMP).write_text("\n".join(covered_by(lock)) + "\n")


def covered_by(lock: Path) -> list[str]:
    """Return the digests of the locks that are installed now. The development lock includes the other."""
    return [digest(lock)] + ([digest(lock.with_name("run.txt"))] if lock.name == "dev.txt" else [])


def make_venv() -> None:
    """Make ``.venv`` unless it is there."""
    if python_of(VENV).exists():
        return
    try:
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    except (subprocess.CalledProcessError, OSError, ImportError):
        sys.exit("Cannot make .venv. On Debian and Ubuntu: apt install python3-venv")


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def digest(lock: Path) -> str:
    """Return the SHA-256 of a lock, hex."""
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def run(command: list[str], *, quiet: bool = True) -> bool:
    """Return whether the command succeeded."""
    to = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, stdout=to, stderr=to, check=False).returncode == 0  # noqa: S603


def say(text: str) -> None:
    """Tell the person who waits; on stderr, since stdout belongs to the command."""
    print(text, file=sys.stderr, flush=True)
