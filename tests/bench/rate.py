"""Measuring two things against each other in one run, interleaved, so that a noisy machine hits both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 5
CALLS = 150


def compare(ours: Callable[[], object], baseline: Callable[[], object], *, calls: int = CALLS) -> tuple[float, float]:
    """Return the median rates (calls a second) of both over interleaved rounds, after one unmeasured round."""
    rates: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS + 1):
        for kept, call in zip(rates, (ours, baseline), strict=True):
            rate = _rate(call, calls)
            if round_:
                kept.append(rate)
    return statistics.median(rates[0]), statistics.median(rates[1])


def _rate(call: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - began)
