"""Copies of checkpoints in an object store: ``AIMS_CHECKPOINT_DIR`` as a URL, such as ``s3://bucket/prefix``.

Needs the extra ``store``. An object is named so that the newest of an origin is listed first, and is never written twice:
a bucket with retention keeps what was published from whoever holds the database.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from django.conf import settings

from audit.notes import Checkpoint, NoteRefused, VerifierKey, open_checkpoint

LOOKED_AT = 16
TIMEOUT = "5s"
RETRIES = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}  # the sequencer waits, and tries again by itself
_LAST = 10**19 - 1


class Bucket:
    """An object store. Trouble of any kind is an OSError: nothing is signed that can't be kept."""

    def __init__(self, url: str) -> None:
        import obstore
        from obstore import store

        self._obstore: Any = obstore
        opened: Any = store.from_url  # one overload for each kind of store
        try:
            self._store = opened(url, client_options=_client(), retry_config=RETRIES)
        except Exception as error:
            raise ValueError(f"AIMS_CHECKPOINT_DIR: {url} can't be used: {error}") from error

    def keep(self, note: str, *, origin: str) -> None:
        """Store a note as an object of its own. Raises: OSError."""
        size = int(note.split("\n", 2)[1])
        self._call(self._obstore.put, f"{_folder(origin)}/{_LAST - size:019d}.checkpoint", note.encode())

    def latest(self, *, key: VerifierKey) -> tuple[Checkpoint, str] | None:
        """Return the largest checkpoint that was kept for an origin. Raises: NoteRefused if none can be read, OSError."""
        names = self._names(_folder(key.name))
        for name in names:
            note = bytes(self._call(self._obstore.get, name).bytes()).decode(errors="replace")
            try:
                return open_checkpoint(note, [key], origin=key.name), note
            except NoteRefused:
                continue
        if names:
            raise NoteRefused(f"no copy of a checkpoint of {key.name} in the object store can be read")
        return None

    def generations(self, origin: str) -> int:
        """Return how many generations of an origin have copies."""
        count = 1
        while self._names(_folder(f"{origin}/g{count + 1}")):
            count += 1
        return count

    def _names(self, folder: str) -> list[str]:
        found = self._call(lambda store: next(iter(self._obstore.list(store, folder, chunk_size=LOOKED_AT)), []))
        return sorted(each["path"] for each in found)[:LOOKED_AT]

    def _call(self, act: Any, *args: Any) -> Any:
        try:
            return act(self._store, *args)
        except OSError:
            raise
        except Exception as error:  # the library has a class of its own for each store
            raise OSError(f"the object store with the checkpoints does not answer: {error}") from error


def configured() -> Bucket | None:
    """Return the object store that the setting names, if it names one. Raises: OSError where the extra is missing."""
    return _opened(settings.CHECKPOINT_DIR) if "://" in settings.CHECKPOINT_DIR else None


def must_be_usable() -> None:
    """Check the setting before a process starts. Raises: ValueError, saying what to install or to set."""
    try:
        configured()
    except ImportError as error:
        raise ValueError(
            f"AIMS_CHECKPOINT_DIR is {settings.CHECKPOINT_DIR}, an object store, which needs the extra: "
            'pip install "aims-console[store]"'
        ) from error


@lru_cache(maxsize=2)
def _opened(url: str) -> Bucket:
    return Bucket(url)


def _client() -> dict[str, Any]:
    """Return how to connect. Without TLS only where the operator spelled the endpoint so."""
    is_plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return {"timeout": TIMEOUT, "connect_timeout": TIMEOUT, "allow_http": is_plain}


def _folder(origin: str) -> str:
    return quote(origin, safe="").replace("%", "~")  # stores spell a percent sign anew
