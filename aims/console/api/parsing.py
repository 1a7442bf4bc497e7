"""Strict JSON in. Spec: RFC 8259 §4, RFC 7493 §2.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from aims.console.errors import BodyTooLarge, JSONRefused
from aims.kit.forms import MACHINE_BODY_MAX_BYTES
from audit.canonical import CanonicalError, decode

DEPTH_MAX = 32


class StrictJSONParser(BaseParser):
    """An object with unique members, at most 256 KiB and 32 levels deep."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the members. Raises BodyTooLarge, JSONRefused."""
        raw = stream.read(MACHINE_BODY_MAX_BYTES + 1)
        if len(raw) > MACHINE_BODY_MAX_BYTES:
            raise BodyTooLarge
        try:
            body = decode(raw, max_depth=DEPTH_MAX)
        except CanonicalError as error:
            raise JSONRefused from error
        if not isinstance(body, dict):
            raise JSONRefused
        return body
