"""The settings of the servers that ``loaded.py`` measures: those of the product on the database of the run, with its pool.

BENCH_URLS: the baseline that is served, with no middleware at all; empty for the product itself.
"""

from __future__ import annotations

import os

from aims.settings import *  # noqa: F403

if os.environ.get("BENCH_URLS"):
    MIDDLEWARE = []
    ROOT_URLCONF = os.environ["BENCH_URLS"]
    ALLOWED_HOSTS = ["*"]
