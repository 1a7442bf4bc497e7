"""Serializers that refuse what they don't know: a misspelt member is an error, never a default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Unknown members are refused, and a text must come as a string."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the values. Raises ValidationError naming each member."""
        if isinstance(data, Mapping):
            refused = {name: [_("There is no such member.")] for name in data if name not in self._writable_names()}
            refused |= {name: [_("This must be a string.")] for name in self._texts() if self._is_no_text(data, name)}
            if refused:
                raise serializers.ValidationError(refused)
        return super().to_internal_value(data)

    def _writable_names(self) -> set[str]:
        return {name for name, field in self.fields.items() if not field.read_only}

    def _texts(self) -> list[str]:
        text = (serializers.CharField, serializers.ChoiceField, serializers.DateTimeField)
        return [name for name, field in self.fields.items() if isinstance(field, text)]

    def _is_no_text(self, data: Mapping[str, Any], name: str) -> bool:
        value = data.get(name)
        return name in data and not isinstance(value, str) and not (value is None and self.fields[name].allow_null)
