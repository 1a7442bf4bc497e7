"""How Django finds the person of a session. There is nothing to authenticate with but a passkey's ceremony."""

from __future__ import annotations

from django.contrib.auth.backends import BaseBackend

from aims.people.models import User


class PasskeyBackend(BaseBackend):
    """Finds people by id; a deactivated person has no session any more."""

    def get_user(self, user_id: int) -> User | None:
        """Return the active person, or None, which makes the request anonymous."""
        return User.objects.filter(pk=user_id, is_active=True).first()
