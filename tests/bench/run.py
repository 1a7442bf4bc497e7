#!/usr/bin/env python3
"""Print the ratios of the design, measured in one run on a real PostgreSQL with fsync: ``python tests/bench/run.py``.

``python tests/bench/run.py poll metadata`` measures only what has these words in its name. Where a bar is missed, the
profile of the missed path follows.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
PROFILED_CALLS = 200
PROFILE_LINES = 30


@contextmanager
def durable_postgres(kept: Path | None = None) -> Iterator[str]:
    """Start PostgreSQL with fsync and synchronous_commit on, as a deployment has them; yield its address.

    kept: a folder in which its data stay, with memory for many; without it they lie in one that goes.
    """
    from tests.support import servers

    binaries, port = servers._postgres_binaries(), servers.free_port()
    with _kept_home(kept) if kept else servers._home() as (home, user):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if not (home / "data").exists():
            init = [binaries / "initdb", "-D", home / "data", "-U", "aims", "-A", "trust", "-E", "UTF8", "--locale=C"]
            subprocess.run(init, user=user, cwd=home, check=True, **quiet)  # type: ignore[call-overload]
        settings = {"fsync": "on", "synchronous_commit": "on", "unix_socket_directories": home}
        settings |= {"shared_buffers": "512MB", "max_wal_size": "4GB"} if kept else {}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [binaries / "postgres", "-D", home / "data", "-p", str(port), "-h", "127.0.0.1", *options]
        server = subprocess.Popen(command, user=user, cwd=home, **quiet)  # type: ignore[call-overload]
        with servers._running(server, port):
            yield servers._answering(f"postgresql://aims@127.0.0.1:{port}/postgres")


@contextmanager
def _kept_home(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield a folder that stays, and the user that the server runs as (None: ourselves)."""
    from tests.support import servers

    user = servers._lesser_user() if os.geteuid() == 0 else None
    folder.mkdir(parents=True, exist_ok=True)
    if user:
        shutil.chown(folder, user)
    yield folder, user


def main(words: Sequence[str]) -> int:
    """Measure what has one of these words in its name, everything without words; 1 where a bar is missed."""
    from tests.bench.cores import SERVER_CORE, pin

    pin(SERVER_CORE)  # PostgreSQL and every server inherit it; whoever plays a client moves away
    with durable_postgres() as url, tempfile.TemporaryDirectory() as var:
        os.environ |= {
            "TEST_DATABASE_URL": url,
            "TEST_REDIS_URL": "",
            "AIMS_TEST_ON": "postgres",
            "AIMS_VAR_DIR": var,
            "DJANGO_SETTINGS_MODULE": "tests.support.settings",
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from tests.bench import cases, exports, loaded, log, polls, redemptions, served, tokens, verification  # noqa: F401

        try:
            return _report(cases.cases_named(words)) | _report_readings(cases.figures_named(words))
        finally:
            served.close()
            from django.db import connection

            connection.close()


def _report(cases: list) -> int:  # type: ignore[type-arg]
    missed = []
    print(f"{'path':<24} {'against':<16} {'ours/s':>9} {'theirs/s':>9} {'ratio':>6} {'bar':>5}")
    for each in cases:
        ours, theirs = each.measure()
        ratio = ours / theirs
        verdict = "" if ratio >= each.bar else "  missed"
        measured = f"{ours:>9.0f} {theirs:>9.0f} {ratio:>6.2f} {each.bar:>5.2f}{verdict}"
        print(f"{each.name:<24} {each.baseline:<16} {measured}", flush=True)
        if verdict:
            missed.append(each)
    for each in missed:
        if each.profiled:
            _profile(each.name, each.profiled)
    return bool(missed)


def _report_readings(figures: list) -> int:  # type: ignore[type-arg]
    missed = False
    for each in figures:
        for reading in each.measure():
            bar = "" if reading.bar is None else f", bar {reading.bar:.0f} {reading.unit}"
            verdict = "  missed" if reading.is_missed else ""
            digits = 2 if reading.unit == "times" else 1
            print(f"{each.name}: {reading.what} {reading.value:.{digits}f} {reading.unit}{bar}{verdict}", flush=True)
            missed = missed or reading.is_missed
    return missed


def _profile(name: str, make: Callable[[], Callable[[], None]]) -> None:
    call, profiler = make(), cProfile.Profile()
    call()
    profiler.enable()
    for _ in range(PROFILED_CALLS):
        call()
    profiler.disable()
    print(f"\nWhere {name} spends its time ({PROFILED_CALLS} calls):")
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(PROFILE_LINES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="measure only what has one of these in its name")
    sys.exit(main(parser.parse_args().words))
