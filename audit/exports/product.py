"""The product's name and version, as bundles and feeds tell it."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from django.conf import settings


@cache
def version() -> str:
    """Return the product's version."""
    told = tomllib.loads((Path(settings.BASE_DIR) / "pyproject.toml").read_text())
    return str(told["project"]["version"])


def product() -> str:
    """Return the product with its version."""
    return f"AIMS Console {version()}"
