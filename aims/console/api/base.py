"""What every viewset of the management API does alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from aims.console.api.auth import Caller
from aims.kit import clock


class ApiViewSet(GenericViewSet[Any]):
    """Rows are found by their public reference, never by primary key. by, now: who calls, and when."""

    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"

    @property
    def by(self) -> str:
        """Return who calls, as entries name them."""
        caller = self.request.auth
        assert isinstance(caller, Caller), "no permission class lets anybody else in"
        return caller.client_id

    @property
    def now(self) -> datetime:
        """Return the moment of the call."""
        return clock.now()

    def shown(self, row: Any, status: int = 200) -> Response:
        """Return one row as this viewset shows it."""
        return Response(self.get_serializer(row).data, status=status)


def checked(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """Return the values of a serializer. Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
