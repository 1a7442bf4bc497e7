"""``manage.py verify``: checks the log of this deployment, or a receipt, which needs no database at all."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from approvals.reading import NotVerified
from approvals.verify import LogEvidence, Verified, verify_receipt

PROGRESS_S = 0.5
LOST = 3  # exit code: what is there verifies, and a restore lost entries that were published


class Command(BaseCommand):
    """Exit 0 only if everything that was asked for holds; otherwise name the first thing that does not.

    Of the log, 3 says that what is there holds, and that a restored database lacks entries which were published before, as the
    next generation acknowledges: look at it once, and alarm on any other code. With --export the exit codes are those of the stand-alone verifier, which does the work.
    """

    _said_at = 0.0
    help = "Check the audit log, or offline with --receipt one receipt, with --export one export."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--receipt", type=Path, metavar="F", help="a receipt (.jwt)")
        parser.add_argument("--jwks", type=Path, metavar="F", help="the issuer's keys that you pinned")
        parser.add_argument("--origin", action="append", metavar="URL", help="where approvals are given (default: iss)")
        parser.add_argument("--proof", type=Path, metavar="F", help="the log proof of the decision (.tlog-proof)")
        parser.add_argument("--vkey", type=Path, metavar="F", help="the log's verifier key that you pinned")
        parser.add_argument(
            "--entry", type=Path, metavar="F", help="the log entry (default: entry.json beside --proof)"
        )

        parser.add_argument("--export", type=Path, metavar="F", help="an export of the log: its zip, or a folder")
        parser.add_argument(
            "--policy",
            type=Path,
            metavar="F",
            help="whose cosignatures the proof or the export must carry (tlog-policy)",
        )
        parser.add_argument(
            "--tiles", action="store_true", help="check the tree only, from its lowest tiles: takes seconds"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["export"] is not None:
            self._export(options)
        elif options["receipt"] is None:
            self._log(options["tiles"])
        else:
            self._receipt(options)

    def _log(self, is_quick: bool) -> None:
        from audit.tilecheck import check_tiles
        from audit.verify import verify_log

        verdict = check_tiles(self._progress) if is_quick else verify_log(self._progress)
        if self.stderr.isatty():
            self.stderr.write("")
        if not verdict.is_good:
            where = "" if verdict.index is None else f" at entry {verdict.index}"
            raise CommandError(f"The log does not verify{where}: {verdict.bad} [{verdict.where}]")
        self.stdout.write(
            f"The log verifies: {verdict.entries} entries, {verdict.checkpoints} checkpoints, "
            f"{verdict.unsigned} entries not yet under a checkpoint."
        )
        if verdict.minimum:
            self.stdout.write(
                f"Entries below {verdict.minimum} went by retention: their hashes were checked, their words can't be."
            )
        if verdict.lost:
            raise CommandError("\n".join(map(str, verdict.lost)), returncode=LOST)

    def _progress(self, done: int) -> None:
        if self.stderr.isatty() and time.monotonic() - self._said_at > PROGRESS_S:
            self._said_at = time.monotonic()
            self.stderr.write(f"\r{done} entries", ending="")

    def _export(self, options: dict[str, Any]) -> None:
        from audit.exports import aims_verify

        vkeys = _text(options["vkey"]).split() if options["vkey"] else []
        policy = _text(options["policy"]) if options["policy"] else None
        code, said = aims_verify.verify(str(options["export"]), vkeys=vkeys, policy=policy)
        if code != aims_verify.GOOD:
            raise CommandError(aims_verify.shown(said), returncode=code)
        self.stdout.write(aims_verify.shown(said))

    def _receipt(self, options: dict[str, Any]) -> None:
        if options["jwks"] is None:
            raise CommandError("--receipt needs --jwks: the keys of the issuer, from a place that you trust.")
        if (options["proof"] is None) != (options["vkey"] is None):
            raise CommandError("--proof and --vkey go together.")
        if options["policy"] and not options["proof"]:
            raise CommandError("--policy needs --proof: cosignatures stand on the checkpoint in it.")
        try:
            verified = verify_receipt(
                _text(options["receipt"]),
                jwks=_jwks(options["jwks"]),
                origins=options["origin"],
                log=_evidence(options),
            )
        except NotVerified as failure:
            raise CommandError(f"NOT verified, at step {failure.step}: {failure.why}") from failure
        cosigned = _cosigned(options) if options["policy"] else None
        self.stdout.write("\n".join(_told(verified, cosigned)))


def _evidence(options: dict[str, Any]) -> LogEvidence | None:
    if options["proof"] is None:
        return None
    entry = options["entry"] or options["proof"].with_name("entry.json")
    return LogEvidence(_bytes(entry), _text(options["proof"]), _text(options["vkey"]))


def _cosigned(options: dict[str, Any]) -> dict[str, int]:
    """Return which witnesses cosigned the proof's checkpoint, and when; fewer than the policy asks is a failure."""
    from audit import notes, policy

    try:
        trusted = policy.parse(_bytes(options["policy"]))
    except policy.PolicyRefused as refusal:
        raise CommandError(f"{options['policy']}: {refusal}") from refusal
    try:
        return trusted.require(notes.parse_proof(_text(options["proof"])).note)
    except notes.NoteRefused as failure:
        raise CommandError(f"NOT verified, at step witnesses: {failure}") from failure


def _told(verified: Verified, cosigned: dict[str, int] | None) -> list[str]:
    log = verified.included
    return [
        f"Verified: receipt {verified.ref}",
        f"  agent      {verified.request['client_id']}",
        f"  for        {verified.request['sub']}",
        f"  at         {verified.request['resource']}",
        f"  signed by  {', '.join(verified.approvers)}",
        f"  use until  {verified.approved_until} (NumericDate)",
        f"  in the log {f'entry {log.index} of {log.size}, {log.origin}' if log else 'not shown: no proof was given'}",
        *(
            [f"  witnessed  {', '.join(cosigned) or 'by nobody, and the policy asks for none'}"]
            if cosigned is not None
            else []
        ),
        "Not shown by any receipt: whether it was used, and what eyes saw.",
    ]


def _jwks(path: Path) -> dict[str, Any]:
    try:
        jwks = json.loads(_bytes(path))
    except ValueError as error:
        raise CommandError(f"{path} is not a JWKS.") from error
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        raise CommandError(f"{path} is not a JWKS.")
    return jwks


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not text.") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from error
