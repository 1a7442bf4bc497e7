"""The product's own settings, with throw-away secrets. ``AIMS_TEST_ON=postgres`` runs on TEST_DATABASE_URL and _REDIS_URL.

Variables of the surrounding shell don't reach the tests: a run means the same everywhere.
"""

from __future__ import annotations

import atexit
import base64
import os
import shutil
import tempfile

for _name in [name for name in os.environ if name.startswith("AIMS_") and not name.startswith("AIMS_TEST_")]:
    del os.environ[_name]

_var = tempfile.mkdtemp(prefix="aims-test-")
atexit.register(shutil.rmtree, _var, ignore_errors=True)

os.environ |= {
    "AIMS_NO_BOOTSTRAP": "1",
    "AIMS_SECRET_KEY": "a secret that guards nothing",
    "AIMS_KEK": base64.b64encode(bytes(range(32))).decode(),
    "AIMS_VAR_DIR": _var,
    "AIMS_LOG_LEVEL": "WARNING",
}
if os.environ.get("AIMS_TEST_ON") == "postgres":
    os.environ["AIMS_DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    os.environ["AIMS_REDIS_URL"] = os.environ["TEST_REDIS_URL"]

from aims.settings import *  # noqa: E402, F403
from aims.settings import DATABASES, EMAIL_CONFIG, IS_SQLITE  # noqa: E402

if IS_SQLITE:
    # A file, as in production: in memory, connections share one cache, whose table locks no timeout waits for.
    DATABASES["default"]["TEST"] = {"NAME": f"{_var}/test.sqlite3"}
else:
    # A pool keeps connections that stand in the way of dropping the test database.
    DATABASES["default"]["OPTIONS"].pop("pool")
assert EMAIL_CONFIG
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
