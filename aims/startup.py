"""What a server must have before it starts. Every refusal names the variable and says what to set."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path

import cbor2
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from aims.authentication.certificate import networks
from aims.people.models import Passkey
from audit import keep, read

KEK_BYTES = 32
HOW_KEK = "make one with: python3 -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'"
DEMO_SECRETS = ("SECRET_KEY", "KEK")


def refuse_unsafe(*, needs_log_key: bool) -> None:
    """Raise CommandError for the first thing that is missing or unsafe. needs_log_key: this process signs checkpoints."""
    _refuse_secrets()
    _refuse_combinations()
    _refuse_policy()
    _refuse_key_store()
    if needs_log_key:
        _refuse_log_key()


def refuse_unmigrated() -> None:
    """Raise CommandError if the database does not answer, or lacks a migration of this version."""
    try:
        executor = MigrationExecutor(connection)
        missing = [step for step, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    except DatabaseError as error:
        raise CommandError(f"AIMS_DATABASE_URL: the database does not answer: {str(error).strip()}") from error
    if missing:
        raise CommandError(
            f"The database is behind this version, migrations are missing: {len(missing)}, first {missing[0]}. Make a "
            "backup, then say: python3 manage.py migrate"
        )


def refuse_foreign_passkeys() -> None:
    """Raise CommandError if passkeys are stored that another RP ID owns: nobody could sign in any more."""
    expected = hashlib.sha256(settings.RP_ID.encode()).digest()
    for stored in Passkey.objects.filter(ended_at=None).values_list("attestation_object", flat=True).iterator():
        # WebAuthn L3 §6.5.4, §6.1: the authenticator data begin with the hash of the RP ID.
        if cbor2.loads(bytes(stored))["authData"][:32] != expected:
            raise CommandError(
                f"AIMS_RP_ID is {settings.RP_ID}, but passkeys are stored that belong to another. Set AIMS_RP_ID (or "
                "AIMS_ISSUER) back to what it was; passkeys cannot move to another name."
            )


def _refuse_secrets() -> None:
    try:
        _ = settings.SECRET_KEY
    except ImproperlyConfigured as error:  # Django's own word for an empty one
        raise CommandError("AIMS_SECRET_KEY is not set: set it to 50 or more random characters.") from error
    if not settings.KEKS:
        raise CommandError(f"AIMS_KEK is not set: it encrypts the stored keys; {HOW_KEK}")
    for kek in settings.KEKS:
        if not _is_kek(kek):
            raise CommandError(f"AIMS_KEK must be 32 bytes in base64 (several: comma-separated); {HOW_KEK}")


def _is_kek(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEK_BYTES
    except binascii.Error:
        return False


def _refuse_combinations() -> None:
    if settings.DEBUG and settings.IS_HTTPS:
        raise CommandError("AIMS_DEBUG is on while AIMS_ISSUER is https: debug pages show secrets. Unset AIMS_DEBUG.")
    if not settings.IS_HTTPS and settings.ISSUER_HOST != "localhost":
        raise CommandError("AIMS_ISSUER is http on a host other than localhost: browsers offer passkeys on https only.")
    if settings.ISSUER_HOST != settings.RP_ID and not settings.ISSUER_HOST.endswith(f".{settings.RP_ID}"):
        raise CommandError("AIMS_RP_ID must be the host of AIMS_ISSUER or a domain above it (WebAuthn L3 §5.1.3).")
    if settings.IS_SCALED and settings.IS_SQLITE:
        raise CommandError("AIMS_REDIS_URL is set, but AIMS_DATABASE_URL is SQLite: several processes need PostgreSQL.")
    try:
        networks(tuple(settings.CLIENT_CERT_PROXIES))
    except ValueError as error:
        raise CommandError(f"AIMS_CLIENT_CERT_PROXIES must name networks, such as 10.2.0.0/16: {error}.") from error


def _refuse_policy() -> None:
    try:
        read.check_policy()
    except (OSError, ValueError) as error:
        raise CommandError(f"AIMS_TLOG_POLICY: {settings.TLOG_POLICY}: {error}") from error
    try:
        read.check_attesting()
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error


def _refuse_key_store() -> None:
    if settings.IS_SCALED and not settings.PERSON_KEYS_IS_CHOSEN:
        raise CommandError(
            "AIMS_PERSON_KEYS is not set: the processes of a scaled deployment share one store of people's keys, or a key that "
            "one destroys lives on with another. Set it to the postgresql:// address of another database or, where all "
            "processes run on one machine, to the path of one file."
        )
    try:
        keep.check_store()
    except (ValueError, keep.KeysUnavailable) as error:
        raise CommandError(f"AIMS_PERSON_KEYS {error}") from error


def _refuse_log_key() -> None:
    path = Path(settings.LOG_KEY_FILE or settings.VAR_DIR / "log.key")
    if not path.is_file():
        raise CommandError(f"AIMS_LOG_KEY_FILE: there is no checkpoint key in {path}.")
    if path.stat().st_mode & 0o077:
        raise CommandError(f"AIMS_LOG_KEY_FILE: others may read {path}. Say: chmod 600 {path}")


def demo_environment(folder: Path) -> dict[str, str]:
    """Return the secrets of the demo as variables; made once, in files that only their owner may read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = {"SECRET_KEY": secrets.token_urlsafe(48), "KEK": base64.b64encode(secrets.token_bytes(KEK_BYTES)).decode()}
    return {f"AIMS_{name}": _kept(folder / name.lower().replace("_", "-"), made[name]) for name in DEMO_SECRETS}


def _kept(path: Path, fresh: str) -> str:
    """Return what the file holds; write ``fresh`` to it first if there is none."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(fresh)
    return fresh
