"""How this room reaches others: through a function that the wiring gives it, which holds the rules of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Answer(Protocol):
    """What came back. headers: lower-case names."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Ask(Protocol):
    """Sends one request and returns the answer. Raises: OSError where there is none, or none that may be taken."""

    def __call__(
        self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], max_bytes: int
    ) -> Answer: ...
