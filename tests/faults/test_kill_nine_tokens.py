"""The server dies by kill -9 under a load of tokens: what was answered is in all three tables, and nothing is there twice."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.db import connection

from tests.faults.kill_nine.tokens import Served, faults, killing, summary, under_load
from tests.protocol.ciba.conftest import Door
from tests.protocol.ciba.conftest import door as door
from tests.support.log import written_once
from tests.unit.approvals.stage import LOG_KEY

__all__ = ["door", "written_once"]
pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]
APPROVALS = 8  # `python -m tests.faults.kill_nine.by_hand` runs for minutes, and PostgreSQL dies as well


def test_tokens_survive_a_kill_and_a_stop_in_the_middle_of_their_work(door: Door) -> None:
    server = Served(_database())
    server.start()
    try:
        approved = [_approved(door) for _ in range(APPROVALS)]
        tally = under_load(door.courier, approved, server.port, killing(server, kills=1, every_s=0.8))
    finally:
        server.kill()
    print(summary(tally))
    assert faults(tally, LOG_KEY) == []
    assert len(tally.answered) > 20
    assert any(each.auth_req_id for each in tally.answered)


def _approved(door: Door) -> str:
    auth_req_id = door.asked()
    door.approve()
    return auth_req_id


def _database() -> str:
    said = connection.settings_dict
    return urlsplit(f"postgresql://{said['USER']}@{said['HOST']}:{said['PORT']}/{said['NAME']}").geturl()
