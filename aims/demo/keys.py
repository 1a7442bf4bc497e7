"""Key files of the demo's processes: made by the process that uses them, never seen by the console.

``python -m aims.demo.keys FILE`` makes FILE (0600) if it is not there and prints the public JWK Set.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey


def load_or_make(path: Path) -> ECKey:
    """Return the P-256 key in ``path``; a new one is written first where there is none."""
    if not path.exists():
        key = ECKey.generate_key("P-256", auto_kid=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(key.as_dict(private=True), file)
    return ECKey.import_key(json.loads(path.read_text()))


def public_jwks(key: ECKey) -> dict[str, Any]:
    """Return the JWK Set to register: public members only, with ``alg`` and ``use``. Spec: RFC 7517 §5."""
    return {"keys": [{**key.as_dict(private=False), "alg": "ES256", "use": "sig"}]}


if __name__ == "__main__":
    print(json.dumps(public_jwks(load_or_make(Path(sys.argv[1])))))
