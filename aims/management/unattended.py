"""The story without a browser: server, agent, resource server and approver are real; the approver is software."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import requests
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper
from django.db import connection

from aims.authorization.models import DelegationGrant
from aims.demo import world
from aims.management.demonstration import Cast, wait_for_passkey
from audit import read

HEADLINE = "Pay 4,200.00 EUR to Nordwind GmbH"
CHANGE_HEADLINE = "Merge fix/rounding into main of acme/ledger"
STORY_MAX_S = 50
HOLD_EVERY_S = 0.05
LOOK_EVERY_S = 0.05
DEAD_WITHIN_S = 1.0
README = """\
Evidence of one approval, left by `manage.py demo --unattended`. The approver was a software authenticator: it signed
for real, but nobody sat in front of it. Formats: docs/formats.md in the project.

receipt.jwt       the receipt: a JWS (RFC 7515), ES256, typ approval-receipt+jwt
jwks.json         the issuer's public keys (RFC 7517)
access-token.jwt  the access token that the approval became (RFC 9068); spent
entry.json        the log entry of the decision, exact bytes (RFC 8785)
entry.tlog-proof  its proof of inclusion with the signed checkpoint (C2SP tlog-proof)
log.vkey          the log's public key (C2SP signed-note)
chain.zip         an evidence pack: how a change was merged by three agents, one for the other, and how the last of them
                  was told no; chain.zip holds it as a PDF (story.pdf) and says in INDEX.txt what else is in it

With the project:
  manage.py verify --export chain.zip --vkey log.vkey
  manage.py verify --receipt receipt.jwt --jwks jwks.json --proof entry.tlog-proof --vkey log.vkey

Without it:
  - python3 -I aims_verify.py chain.zip --vkey log.vkey (audit/exports/aims_verify.py; a copy lies in the zip);
  - any JOSE library checks receipt.jwt and access-token.jwt against jwks.json by their kid;
  - the token's approval.receipt_hash is "sha-256:" and the base64url SHA-256 of the text in receipt.jwt;
  - in the receipt, request_jcs is the base64url of what was asked; approvals[0].context_jcs of what was signed, and
    SHA-256("agent-approval/v1" || 0x00 || context) is the challenge in approvals[0].clientDataJSON; the signature is
    over authenticatorData || SHA-256(clientDataJSON), with the COSE key in cose_key (WebAuthn Level 3, 7.2);
  - SHA-256(0x00 || entry.json) is the leaf (RFC 6962) that the lines of entry.tlog-proof lead to the root of the
    checkpoint in it, which is an Ed25519 signed note under log.vkey.
"""


class Story:
    """One run. ``play`` runs beside the server; ``close`` afterwards, when everything has been written."""

    def __init__(self, cast: Cast, link: str, out: Path | None, stdout: OutputWrapper | TextIO) -> None:
        self.cast, self.link, self.stdout = cast, link, stdout
        self.out = out.resolve() if out else settings.VAR_DIR / "out"
        self.trouble = ""
        self.jwks = b""
        self._clicked = settings.VAR_DIR / "clicked"

    def play(self) -> None:
        """Let the agent ask and the approver sign; collect what only the running server can give."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            self._play()
        except (CommandError, subprocess.SubprocessError, requests.RequestException, OSError) as error:
            self.trouble = str(error)
        finally:
            connection.close()

    def close(self) -> None:
        """Write the evidence and verify it, as an outsider would: files and public keys only. Raises CommandError."""
        if self.trouble:
            raise CommandError(f"The story broke: {self.trouble}")
        self._write_evidence()
        self._verify("--receipt", self._file("receipt.jwt"), "--jwks", self._file("jwks.json"),
                     "--proof", self._file("entry.tlog-proof"), "--vkey", self._file("log.vkey"))  # fmt: skip
        self._verify()
        self.stdout.write("The receipt and the log verify.")

    def _play(self) -> None:
        self.cast.start_servers(hold_every_s=HOLD_EVERY_S)
        approver = self._approver()
        wait_for_passkey(lambda: approver.poll() is not None)
        self._await(self.cast.start_courier("--token-file", self._file("access-token.jwt")), "agent")
        self._await(self.cast.start_foreman(), "agent")
        self._take_back(approver)
        self.jwks = requests.get(f"{settings.ISSUER}/oauth/jwks", timeout=10).content

    def _approver(self) -> subprocess.Popen[Any]:
        command = [
            sys.executable, "-m", "aims.demo.approver", "--origin", settings.ISSUER, "--rp-id", settings.RP_ID,
            "--expect", HEADLINE, "--expect", CHANGE_HEADLINE, "--receipt", self._file("receipt.jwt"),
            "--clicked", str(self._clicked),
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, text=True)
        assert process.stdin is not None
        process.stdin.write(self.link + "\n")
        process.stdin.flush()
        self.cast.running.append(process)
        return process

    def _take_back(self, approver: subprocess.Popen[Any]) -> None:
        """Let the approver take back what Foreman may do, and see how long Keeper, two agents further on, can act."""
        desk = self.cast.place("mason_desk")
        grant = DelegationGrant.objects.get(agent__identifier=world.FOREMAN, resource__identifier=desk, revoked_at=None)
        assert approver.stdin is not None
        approver.stdin.write(grant.ref + "\n")
        approver.stdin.close()
        self._await(approver, "approver")
        told = self._refused()
        self.dead_after_s = told["refused_at"] - float(self._clicked.read_text())
        self.stdout.write(
            f"From the click to Keeper's first refused call: {self.dead_after_s * 1000:.0f} ms"
            f" (it must be under {DEAD_WITHIN_S:.0f} s; its token would have been good for minutes)."
        )
        if self.dead_after_s >= DEAD_WITHIN_S or told["error"] != "invalid_token":
            raise CommandError("what a person took back went on working")

    def _refused(self) -> dict[str, Any]:
        """Return when Keeper was told no. Raises CommandError if it never was."""
        deadline = time.monotonic() + STORY_MAX_S
        while time.monotonic() < deadline:
            told: dict[str, Any] = json.loads(self.cast.lease.read_text())
            if "refused_at" in told:
                return told
            time.sleep(LOOK_EVERY_S)
        raise CommandError("Keeper was never told no")

    def _await(self, process: subprocess.Popen[Any], name: str) -> None:
        if code := process.wait(STORY_MAX_S):
            raise CommandError(f"the {name} ended with {code}")

    def _write_evidence(self) -> None:
        wanted = read.Filter(type="approvals.decision.approved", agent=world.COURIER)
        decision = read.latest(wanted, scope=read.EVERYTHING)[0]
        proof = read.tlog_proof(decision.index, scope=read.EVERYTHING)
        for name, content in {
            "jwks.json": self.jwks,
            "entry.json": read.entry_bytes(decision.index, scope=read.EVERYTHING),
            "entry.tlog-proof": proof.encode(),
            "log.vkey": (read.vkey(decision.index) + "\n").encode(),
            "README.txt": README.encode(),
        }.items():
            (self.out / name).write_bytes(content)
        asked = read.latest(
            read.Filter(type="authorization.request.opened", agent=world.FOREMAN), scope=read.EVERYTHING
        )[0]
        call_command(
            "export", pack=f"txn:{asked.txn}", surroundings=True, out=self.out / "chain.zip", stdout=self.stdout
        )

    def _verify(self, *options: str) -> None:
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "verify", *options]
        if subprocess.run(command, check=False).returncode:
            raise CommandError("verification failed; the output above says where")

    def _file(self, name: str) -> str:
        return str(self.out / name)
