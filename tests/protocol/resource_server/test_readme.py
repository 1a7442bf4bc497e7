"""The example that strangers copy does what it says: read from the README, run as it stands, and as a copied folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aims.resource_server.guard import Request
from tests.support.running import ROOT
from tests.unit.resource_server.made import ISSUER, PAYMENT, PAYMENTS, Holder, Issuer

FOLDER = ROOT / "aims" / "resource_server"
OURS, HOLDER = Issuer(), Holder()


def example() -> str:
    (found,) = re.findall(r"^```python\n(.*?)^```", (FOLDER / "README.md").read_text(), re.S | re.M)
    return str(found)


@pytest.fixture
def jwks_uri() -> Iterator[str]:
    """Publish the issuer's keys on loopback; give their address."""

    class Face(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(OURS.jwks).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Face)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    server.server_close()


def sent(token: str | None, **claims: Any) -> Request:
    """Return a request of now, with a proof."""
    proofs = [] if token is None else [HOLDER.proof(token, iat=int(time.time()), **claims)]
    headers = [] if token is None else [f"DPoP {token}"]
    return Request(method="POST", url=PAYMENTS, authorization=headers, dpop=proofs, certificate=None)


def test_the_example_reads_pays_once_and_says_no(jwks_uri: str, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(example(), "README.md", "exec"), names)
    guard = names["make_guard"](ISSUER, jwks_uri, tmp_path / "used.sqlite3", lambda token: {"active": True})
    now = int(time.time())
    times: dict[str, Any] = {"cnf": HOLDER.cnf, "iat": now, "exp": now + 300}

    def asked(verb: str, request: Request, *order: Any) -> tuple[int, dict[str, str], Any]:
        status, headers, body = names["answer"](guard, request, lambda: names[verb](guard, request, *order))
        return status, headers, json.loads(body)

    assert asked("read", sent(OURS.token(**times)))[2]["asked_by"] == "spiffe://acme.example/courier"
    status, headers, _ = asked("read", sent(None))
    assert status == 401 and headers["WWW-Authenticate"].startswith('DPoP scope="accounts.read", algs="')
    assert asked("read", sent(OURS.token(**times, scope="other")))[0] == 403
    approved = OURS.approved(approval={"id": "arq_1", "approved_until": now + 300}, **times)
    assert asked("pay", sent(approved), PAYMENT)[2] == {"status": "paid", "approval": "arq_1"}
    status, headers, body = asked("pay", sent(approved), PAYMENT)
    assert (status, body) == (403, {"error": "insufficient_scope"}) and "already been used" in headers[
        "WWW-Authenticate"
    ]


COPIED = """
import sys
sys.modules["django"] = sys.modules["aims"] = None  # importing them fails
sys.path.insert(0, sys.argv[1])
import importlib, pathlib
names = [path.stem for path in pathlib.Path(sys.argv[1], "verifier").glob("*.py")]
for name in names:
    importlib.import_module("verifier" if name == "__init__" else f"verifier.{name}")
print(len(names))
"""


def test_the_folder_can_be_copied_and_stands_alone(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "verifier", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", COPIED, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list(FOLDER.glob("*.py")))
