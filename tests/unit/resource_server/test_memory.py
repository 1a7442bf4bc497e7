"""memory.py: whatever happens at once, one of equal calls is the first."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aims.resource_server import memory
from aims.resource_server.errors import Unavailable
from aims.resource_server.memory import InFile, InProcess, Memory, Seen, Use
from tests.support.running import ROOT

NOW = 1_800_000_000.0
AT_ONCE = 8
NAMES = 12
PATIENT_S = 60  # many writers, one slow disk

Kind = Callable[[Path], Memory]


def in_process(folder: Path) -> Memory:
    return InProcess(began_at=NOW - 1000)


def in_file(folder: Path) -> Memory:
    return InFile(folder / "used.sqlite3")


both = pytest.mark.parametrize("kind", [in_process, in_file])


def use(name: str = "a", **changed: object) -> Use:
    return Use(**{"kind": "proof", "name": name, "earliest": NOW - 10, "latest": NOW + 60} | changed)  # type: ignore[arg-type]


@both
def test_the_first_use_is_new_and_the_second_is_not(kind: Kind, tmp_path: Path) -> None:
    book = kind(tmp_path)
    assert book.spend(use(), now=NOW) is Seen.NEW
    assert book.spend(use(), now=NOW) is Seen.USED
    assert book.spend(use("b"), now=NOW) is Seen.NEW


@both
def test_a_proof_and_an_approval_of_one_name_are_two(kind: Kind, tmp_path: Path) -> None:
    book = kind(tmp_path)
    assert book.spend(use(), now=NOW) is Seen.NEW
    assert book.spend(use(kind="approval"), now=NOW) is Seen.NEW


@both
def test_a_use_is_remembered_until_it_could_not_be_accepted_any_more(kind: Kind, tmp_path: Path) -> None:
    book = kind(tmp_path)
    book.spend(use(), now=NOW)
    assert book.spend(use(), now=NOW + 60) is Seen.USED
    book.spend(use("b", latest=NOW + 500), now=NOW + 121)
    assert book.spend(use(), now=NOW + 122) is Seen.NEW


@both
def test_a_look_marks_nothing(kind: Kind, tmp_path: Path) -> None:
    book = kind(tmp_path)
    assert book.is_used(use()) is False
    assert book.spend(use(), now=NOW) is Seen.NEW
    assert book.is_used(use()) is True
    assert book.is_used(use("b")) is False


@both
def test_of_many_equal_calls_in_threads_one_is_the_first(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "WAIT_MAX_S", PATIENT_S)
    book = kind(tmp_path)
    start = threading.Barrier(AT_ONCE)

    def all_names(_: int) -> list[Seen]:
        start.wait(60)
        return [book.spend(use(f"n{number}"), now=NOW) for number in range(NAMES)]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = [answer for answers in pool.map(all_names, range(AT_ONCE)) for answer in answers]
    assert seen.count(Seen.NEW) == NAMES
    assert seen.count(Seen.USED) == NAMES * (AT_ONCE - 1)


class Slow(dict[tuple[str, str], float]):
    """A dictionary in which another thread gets its turn between look and mark."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        time.sleep(0.02)
        return found


def test_a_look_and_its_mark_are_one_step_in_a_process() -> None:
    book, start = InProcess(began_at=NOW - 30), threading.Barrier(AT_ONCE)
    book._latest = Slow()

    def spend(_: int) -> Seen:
        start.wait(60)
        return book.spend(use(), now=NOW)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(spend, range(AT_ONCE))).count(Seen.NEW) == 1


SPENDER = """
import json, sys
from pathlib import Path
from aims.resource_server import memory
from aims.resource_server.memory import InFile, Seen, Use
memory.WAIT_MAX_S = 60
print("ready", flush=True)
sys.stdin.readline()
book = InFile(Path(sys.argv[1]))
uses = [Use(kind="approval", name=f"n{number}", earliest=0, latest=2e9) for number in range(int(sys.argv[2]))]
print(json.dumps([book.spend(use, now=1.8e9) is Seen.NEW for use in uses]), flush=True)
"""


def test_of_two_processes_that_share_a_new_file_one_is_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPENDER, str(tmp_path / "used.sqlite3"), str(NAMES)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        for process in both:
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in both:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        one, other = (json.loads(process.communicate(timeout=60)[0]) for process in both)
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert all(first != second for first, second in zip(one, other, strict=True))


def test_a_file_remembers_over_a_restart(tmp_path: Path) -> None:
    assert in_file(tmp_path).spend(use(), now=NOW) is Seen.NEW
    assert in_file(tmp_path).spend(use(), now=NOW) is Seen.USED


def test_a_process_does_not_vouch_for_what_came_before_it() -> None:
    book = InProcess(began_at=NOW)
    assert book.spend(use(earliest=NOW - 0.001), now=NOW) is Seen.UNKNOWN
    assert book.spend(use(earliest=NOW), now=NOW) is Seen.NEW


def test_a_full_memory_lets_nothing_in_and_empties_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "REMEMBERED_MAX", 2)
    book = InProcess(began_at=NOW - 1000)
    for name in "ab":
        book.spend(use(name), now=NOW)
    with pytest.raises(Unavailable):
        book.spend(use("c"), now=NOW)
    assert book.spend(use("c", latest=NOW + 200), now=NOW + 61) is Seen.NEW


def test_a_file_that_does_not_answer_lets_nothing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_MAX_S", 0.05)
    book = in_file(tmp_path)
    holder = sqlite3.connect(tmp_path / "used.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable):
        book.spend(use(), now=NOW)
    holder.close()
    assert book.spend(use(), now=NOW) is Seen.NEW


def test_a_file_that_can_not_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        InFile(tmp_path / "nowhere" / "used.sqlite3")
    (tmp_path / "rubbish").write_bytes(b"not a database at all" * 100)
    with pytest.raises(Unavailable):
        InFile(tmp_path / "rubbish")
