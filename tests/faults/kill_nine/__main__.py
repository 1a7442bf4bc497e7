"""``python -m tests.faults.kill_nine``: the run on its own, as large as asked."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.faults.kill_nine.run import run
from tests.support.running import aims_server
from tests.support.servers import postgres

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--approvals", type=int, default=1000)
parser.add_argument("--kills", type=int, default=8)
parser.add_argument("--agents", type=int, default=16)
parser.add_argument("--approvers", type=int, default=8)
parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
options = parser.parse_args()
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
with ExitStack() as stack:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aims-kill-nine-")))
    extra = {"AIMS_DATABASE_URL": stack.enter_context(postgres())} if options.postgres else {}
    outcome = run(
        stack.enter_context(aims_server(folder, **extra)),
        approvals=options.approvals,
        kills=options.kills,
        agents=options.agents,
        approvers=options.approvers,
    )
print(outcome)
for fault in outcome.faults:
    print("FAULT:", fault)
sys.exit(bool(outcome.faults))
