"""What can go wrong with keys."""

from __future__ import annotations

from aims.kit.errors import AimsError


class KeysRefused(AimsError):
    """A JWK set that we don't register: private members, weak or doubled keys, another holder's key."""

    code = "keys_refused"


class BundleRefused(AimsError):
    """A trust bundle that we don't take: not one, older than ours, or with keys that must not be there.

    reason: stable word for the log and the page.
    """

    code = "bundle_refused"

    def __init__(self, public: str, *, reason: str = "no_bundle") -> None:
        self.reason = reason
        super().__init__(public, detail=reason)


class NoSigningKey(AimsError):
    """There is no key to sign with; the server makes its keys when it starts."""

    code = "no_signing_key"
    public = "This server has no signing key yet. Try again in a moment."
    status = 503
