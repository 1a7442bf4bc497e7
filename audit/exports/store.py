"""Where bundles lie until they are taken or expire: a folder that only this user reads, on one disk for all processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.core.files.storage import FileSystemStorage


def folder() -> Path:
    """Return ``AIMS_EXPORT_DIR``, made if need be, closed to other users."""
    path = Path(settings.EXPORT_DIR)
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def storage() -> FileSystemStorage:
    """Return Django's storage over the folder."""
    return FileSystemStorage(location=folder(), file_permissions_mode=0o600, directory_permissions_mode=0o700)


def workshop(ref: str, claim: str) -> Path:
    """Return a new, empty folder for a job in the making. The claim keeps two workers of one job apart."""
    path = folder() / f"{ref}.{claim}.part"
    path.mkdir(mode=0o700)
    return path


def keep(path: Path, ref: str) -> None:
    """Put a finished bundle in its place, whole or not at all, and bring it to the disk."""
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(folder() / name(ref))


def drop(ref: str) -> None:
    """Delete a bundle, if it is there."""
    storage().delete(name(ref))


def clear(workshop: Path) -> None:
    """Delete a workshop and what is in it."""
    shutil.rmtree(workshop, ignore_errors=True)


def name(ref: str) -> str:
    """Return the file name of a bundle."""
    return f"{ref}.zip"
