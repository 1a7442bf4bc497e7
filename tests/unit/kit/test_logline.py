"""What the process log never says."""

from __future__ import annotations

import io
import logging
import sys

import pytest
from django.conf import settings
from django.test import Client
from django.utils.log import configure_logging

from aims.kit.logline import LogLine

SECRET = "s3cret-T0ken_of-a-link"


def line(message: str, *values: object, error: bool = False) -> str:
    try:
        raise ValueError(f"/join/{SECRET}/begin/")
    except ValueError:
        info = sys.exc_info() if error else None
    record = logging.LogRecord("django", logging.WARNING, __file__, 1, message, values, info)
    return LogLine("%(message)s", secret_after=["/join/"]).format(record)


@pytest.mark.parametrize("path", [f"/join/{SECRET}", f"/join/{SECRET}/begin/", f"https://a.example/join/{SECRET}?x=1"])
def test_a_link_is_covered_wherever_it_stands(path: str) -> None:
    said = line("Forbidden: %s and '%s'", path, path)
    assert SECRET not in said and said.count("/join/…") == 2


def test_a_traceback_is_covered_too() -> None:
    said = line("broken", error=True)
    assert "ValueError" in said and SECRET not in said


def test_other_lines_stay_as_they_are() -> None:
    assert line("GET /agents/agt_1/ took %d ms; joined /join/", 5) == "GET /agents/agt_1/ took 5 ms; joined /join/"


@pytest.mark.django_db
def test_a_refused_post_to_a_link_does_not_log_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    monkeypatch.undo()
    try:
        assert Client(enforce_csrf_checks=True).post(f"/join/{SECRET}/begin/").status_code == 403
    finally:
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    assert "CSRF cookie not set" in heard.getvalue() and SECRET not in heard.getvalue()
