"""Filters that refuse what they can't read: one that is ignored would answer with everything."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field


@extend_schema_field(OpenApiTypes.BOOL)
class FlagFilter(django_filters.TypedChoiceFilter):
    """``true`` or ``false``, as JSON spells them."""

    def __init__(self, **more: Any) -> None:
        words = [("true", "true"), ("false", "false")]
        super().__init__(choices=words, coerce=lambda text: text == "true", empty_value=None, **more)
