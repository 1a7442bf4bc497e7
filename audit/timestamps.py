"""Time stamps on checkpoints: that they existed at a time, said by somebody else. Spec: RFC 3161.

What is stamped is a checkpoint's text. A token is verified before it is stored, and again by every whole check: imprint,
nonce, signature, chain to the roots that were given, the critical extended key usage, and a time that can be.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from django.conf import settings
from django.db import transaction
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from audit import checkpoints, notes
from audit.errors import LogError
from audit.events import TimestampRefused
from audit.models import Checkpoint, Log, Timestamp, WitnessState
from audit.outside import Answer, Ask
from audit.write import NOBODY, record

log = logging.getLogger(__name__)

SPACING = timedelta(hours=1)
RETRY = timedelta(minutes=5)
SKEW = timedelta(minutes=5)
TOKEN_MAX_BYTES = 32 * 1024
AUTHORITY = "rfc3161"  # its row among the states of witnesses
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"  # RFC 3161 §3.4
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")

Roots = tuple[x509.Certificate, ...]


class NotATimestamp(ValueError):
    """What came is no time stamp on this checkpoint, or none by an authority that is trusted. code: as it is stored."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        super().__init__(why)


def roots() -> Roots:
    """Return the roots that ``AIMS_TSA_ROOTS`` trusts; none without it. Raises: OSError, ValueError."""
    if not settings.TSA_ROOTS:
        return ()
    path = Path(settings.TSA_ROOTS)
    return _roots(path, path.stat().st_mtime_ns)


def must_be_usable() -> None:
    """Check what is set before a process starts. Raises: ValueError naming the variable."""
    if not settings.TSA_URL:
        return
    try:
        found = roots()
    except (OSError, ValueError) as error:
        raise ValueError(f"AIMS_TSA_ROOTS: {settings.TSA_ROOTS} holds no certificates in PEM: {error}") from error
    if not found:
        raise ValueError("AIMS_TSA_URL is set without AIMS_TSA_ROOTS: the roots (PEM) that its time stamps lead to.")


def verify(raw: bytes, text: str, *, roots: Sequence[x509.Certificate], nonce: int | None) -> datetime:
    """Return the time that a token gives to a checkpoint's text. nonce: as it was sent; None to take any.

    Raises: NotATimestamp.
    """
    response = _decoded(raw)
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        # RFC 3161 §2.4.2: the imprint is compared as we made it, never by an algorithm that the token chose.
        if response.tst_info.message_imprint.hash_algorithm != _SHA256:
            raise NotATimestamp("wrong_imprint", "another hash algorithm than SHA-256")
        builder.build().verify_message(response, text.encode())
    except VerificationError as error:
        raise NotATimestamp(_code(str(error)), str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, NotATimestamp):
            raise
        raise NotATimestamp("malformed", f"it can't be read: {type(error).__name__}") from error
    return response.tst_info.gen_time.astimezone(UTC)


class Stamper:
    """Has the newest checkpoint stamped, once an hour."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def round(self, now: datetime) -> None:
        """Ask for a time stamp if one is due."""
        if not settings.TSA_URL or not (row := _due(now)):
            return
        try:
            stamped_at, raw = self._stamped(row, now)
        except NotATimestamp as error:
            _say(row, error.code, str(error), now)
            return
        with transaction.atomic():
            stamp = Timestamp(generation=row.generation, size=row.size, token=raw, stamped_at=stamped_at)
            Timestamp.objects.bulk_create([stamp], ignore_conflicts=True)
            state = {"asked_at": now, "trouble": "", "trouble_at": None, "failures": 0}
            WitnessState.objects.update_or_create(witness=AUTHORITY, key_id="", defaults=state)

    def _stamped(self, row: Checkpoint, now: datetime) -> tuple[datetime, bytes]:
        text = notes.text_of(row.note)
        builder = TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256)
        request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
        answer = self._sent(request.as_bytes())
        kind = answer.headers.get("content-type", "").split(";")[0].strip()
        if answer.status != 200 or kind != REPLY:
            raise NotATimestamp("refused", f"answered {answer.status}, {kind or 'nothing'}")
        stamped_at = verify(answer.body, text, roots=roots(), nonce=request.nonce)
        if not max(row.signed_at, now - SKEW) - SKEW <= stamped_at <= now + SKEW:
            raise NotATimestamp("wrong_time", f"stamped at {stamped_at.isoformat()}, which is not now")
        return stamped_at, answer.body

    def _sent(self, request: bytes) -> Answer:
        headers = {"Content-Type": QUERY, "Accept": REPLY}
        try:
            return self._ask("POST", settings.TSA_URL, body=request, headers=headers, max_bytes=TOKEN_MAX_BYTES)
        except OSError as error:
            raise NotATimestamp("unreachable", f"no answer: {error}") from error


def newest(log_: Log) -> Timestamp | None:
    """Return the newest time stamp on a log's checkpoints."""
    return Timestamp.objects.filter(generation=log_.generation).order_by("-stamped_at").first()


def _due(now: datetime) -> Checkpoint | None:
    try:
        current = checkpoints.current_log()
    except LogError:
        return None
    last = newest(current)
    if last and timedelta(0) <= now - last.stamped_at < SPACING:
        return None
    state = WitnessState.objects.filter(witness=AUTHORITY, key_id="").exclude(failures=0).first()
    if state and timedelta(0) <= now - state.asked_at < RETRY:
        return None
    row = Checkpoint.objects.filter(generation=current.generation).order_by("-size").first()
    return row if row and (last is None or row.size > last.size) else None


def _say(row: Checkpoint, code: str, why: str, now: datetime) -> None:
    """Remember what was wrong; what is no failure of the network is an entry, the first time."""
    with transaction.atomic():
        state = WitnessState.objects.filter(witness=AUTHORITY, key_id="").first()
        state = state or WitnessState(witness=AUTHORITY, key_id="", asked_at=now)
        is_new = state.trouble != code
        if is_new:
            state.trouble, state.trouble_at = code, now
            log.warning("no time stamp (%s): %s", code, why)
        state.asked_at, state.failures = now, min(state.failures + 1, 16)
        state.save()
        if is_new and code not in ("unreachable", "refused"):
            record(TimestampRefused(reason=code, size=row.size), by="system", facts=NOBODY)


def _decoded(raw: bytes) -> TimeStampResponse:
    try:
        response = decode_timestamp_response(raw)
    except Exception as error:  # whatever a parser in another language raises
        raise NotATimestamp("malformed", "not a TimeStampResp") from error
    if response.status != 0:  # RFC 3161 §2.4.2: granted; with modifications is not what we asked for
        raise NotATimestamp("refused", f"PKIStatus {response.status}")
    return response


def _code(why: str) -> str:
    words = {
        "Nonce": "wrong_nonce",
        "Mismatch between": "wrong_imprint",
        "EKU": "wrong_usage",
        "verifying": "wrong_chain",
    }
    return next((code for word, code in words.items() if word in why), "wrong_signature")


@lru_cache(maxsize=2)
def _roots(path: Path, changed_ns: int) -> Roots:
    return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
