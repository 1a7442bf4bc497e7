"""``python -m tests.bench.server HOW PORT``: one process that serves, the product or a baseline, for ``loaded.py``.

lean: the product over ASGI, as ``serve`` serves it, without its jobs. threads: one worker of granian over WSGI.
"""

from __future__ import annotations

import sys

import django


def main(how: str, port: int) -> None:
    django.setup()
    from aims.management import serving

    if how == "lean":
        serving.serve_pages("127.0.0.1", port)
    else:
        serving.serve_machine("127.0.0.1", port, workers=1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
