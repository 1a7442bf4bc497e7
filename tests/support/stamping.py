"""A time stamping authority for tests: a CA and keys made by ``openssl``, replies made by ``openssl ts``, over real HTTP."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.support.witnessing import Reply

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[signer]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[other]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, clientAuth
[tsa]
default_tsa = policy
[policy]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = yes
tsa_name = no
ess_cert_id_chain = no
"""
SECTIONS = {"tsa": "signer", "other": "other"}


class Authority:
    """One CA with its time stamping certificate, in a folder."""

    def __init__(self, folder: Path, *, name: str = "test root") -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "serial").write_text("01\n")
        (folder / "conf").write_text(CONFIG.format(name=name, folder=folder))
        self._run("req", "-x509", "-config", "conf", "-extensions", "ca", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30")  # fmt: skip
        self.certificate("tsa")

    def expire(self) -> None:
        """Make the stamping certificate one that has ended, for the same key."""
        pem = (self.folder / "tsa.pem").read_bytes()
        now, old = x509.load_pem_x509_certificate(pem), datetime(2020, 1, 1, tzinfo=UTC)
        builder = x509.CertificateBuilder(
            now.issuer,
            now.subject,
            now.public_key(),
            now.serial_number,
            old,
            old + timedelta(days=9),
            list(now.extensions),
        )
        key = load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        signed = builder.sign(key, SHA256())  # type: ignore[arg-type]
        (self.folder / "tsa.pem").write_bytes(signed.public_bytes(Encoding.PEM))

    def certificate(self, kind: str) -> None:
        """Make a key and certificate of a kind: tsa, or other (without the usage)."""
        self._run("req", "-new", "-config", "conf", "-subj", f"/CN={kind}", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{kind}.key", "-out", f"{kind}.csr")  # fmt: skip
        self._run("x509", "-req", "-in", f"{kind}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", f"{kind}.pem",
                  "-extfile", "conf", "-extensions", SECTIONS[kind], "-days", "20")  # fmt: skip

    @property
    def roots(self) -> Path:
        return self.folder / "ca.pem"

    def reply(self, request: bytes) -> bytes:
        """Return the TimeStampResp to a request, as ``openssl ts`` makes it."""
        (self.folder / "query").write_bytes(request)
        self._run("ts", "-reply", "-config", "conf", "-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key",
                  "-out", "reply")  # fmt: skip
        return (self.folder / "reply").read_bytes()

    def signed_again(self, reply: bytes, *, kind: str) -> bytes:
        """Return a reply with the same content, signed by the certificate of another kind."""
        (self.folder / "reply").write_bytes(reply)
        self._run("ts", "-reply", "-in", "reply", "-token_out", "-out", "token")
        self._run("cms", "-verify", "-noverify", "-in", "token", "-inform", "DER", "-out", "content")
        self._run("cms", "-sign", "-binary", "-nodetach", "-econtent_type", "id-smime-ct-TSTInfo", "-in", "content",
                  "-signer", f"{kind}.pem", "-inkey", f"{kind}.key", "-outform", "DER", "-out", "again")  # fmt: skip
        token = (self.folder / "again").read_bytes()
        return _sequence(_sequence(b"\x02\x01\x00") + token)

    def _run(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


class Server:
    """Serves replies on a port of its own, each changed by ``change``. Use as a context."""

    def __init__(self, authority: Authority) -> None:
        self.change: Callable[[bytes], bytes] = lambda reply: reply
        self.kind, self.status, self.asked = "application/timestamp-reply", 200, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.asked += 1
                assert self.headers["Content-Type"] == "application/timestamp-query"
                request = self.rfile.read(int(self.headers["Content-Length"]))
                body = server.change(authority.reply(request))
                self.send_response(server.status)
                self.send_header("Content-Type", server.kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._http.server_port}/"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def ask(method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], max_bytes: int) -> Reply:
    """Reach the server; refuse as the product's fetcher does."""
    try:
        answer = urllib3.request(method, url, body=body, headers=dict(headers), retries=False, timeout=5)
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionError("nobody answers") from error
    if len(answer.data) > max_bytes:
        raise ConnectionError("the answer is too large")
    return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)


def _sequence(content: bytes) -> bytes:
    size = len(content)
    spelled = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2)
    return b"\x30" + spelled + content
