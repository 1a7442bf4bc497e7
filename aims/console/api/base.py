"""What every viewset of the management API does alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.http import parse_etags
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from aims.console.api.auth import Caller
from aims.console.errors import JSONRefused, StateChanged
from aims.kit import clock
from aims.people.models import User

_CHANGING = ("PATCH", "PUT")


class ApiViewSet(mixins.ListModelMixin, GenericViewSet[Any]):
    """Rows are found by their public reference, never by primary key. by, now: who calls, and when.

    is_versioned: its rows count their changes in ``version``, which is their entity tag.
    """

    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"
    is_versioned = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a change without a body after who calls is known: nothing at all is not the same as ``{}``."""
        super().initial(request, *args, **kwargs)
        if request.method in _CHANGING and request.stream is None:
            raise JSONRefused

    @property
    def by(self) -> str:
        """Return who calls, as entries name them."""
        caller = self.request.auth
        assert isinstance(caller, Caller), "no permission class lets anybody else in"
        return caller.client_id

    @property
    def reader(self) -> User | None:
        """Return the person for whom the caller acts, as whom it reads; None where it acts for itself."""
        caller = self.request.auth
        return caller.person if isinstance(caller, Caller) else None

    @property
    def now(self) -> datetime:
        """Return the moment of the call."""
        return clock.now()

    def retrieve(self, request: Request, **key: str) -> Response:
        return self.shown(self.get_object())

    def shown(self, row: Any, status: int = 200) -> Response:
        """Return one row as this viewset shows it."""
        headers = {"ETag": etag_of(row)} if self.is_versioned else None
        return Response(self.get_serializer(row).data, status=status, headers=headers)

    def held(self) -> Any:
        """Return the row, locked until the caller's transaction ends. Raises StateChanged.

        Read before the lock, a member that somebody else just changed would be written back as it was.
        Spec: RFC 9110 §13.1.1.
        """
        found = self.get_object()
        row = type(found)._default_manager.select_for_update().get(pk=found.pk)
        wanted = self.request.META.get("HTTP_IF_MATCH")
        if wanted is not None and not {"*", etag_of(row)} & set(parse_etags(wanted)):
            raise StateChanged(detail=row.ref)
        return row


def etag_of(row: Any) -> str:
    """Return the entity tag of a row. Spec: RFC 9110 §8.8.3."""
    return f'"{row.version}"'


def checked(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """Return the values of a serializer. Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
