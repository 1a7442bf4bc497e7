from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from audit.sequencer import Sequencer
from tests.support.log import as_owner, happen, log_key, sequencer, written_once
from tests.unit.audit.feeds.receivers import Collector, Receiver, serving

__all__ = ["as_owner", "happen", "log_key", "sequencer", "written_once"]


@pytest.fixture
def receiver(settings: Settings, sequencer: Sequencer) -> Iterator[Receiver]:
    settings.FETCH_ALLOW = ["127.0.0.1/32"]
    sequencer.run_once()
    server = Receiver()
    with serving(server):
        yield server


@pytest.fixture
def collector(settings: Settings, sequencer: Sequencer) -> Iterator[Collector]:
    settings.FETCH_ALLOW = ["127.0.0.1/32"]
    sequencer.run_once()
    server = Collector()
    with serving(server):
        yield server
