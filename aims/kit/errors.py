"""The base of every expected trouble: a code for machines, a text that is safe to send, a detail for the log."""

from __future__ import annotations


class AimsError(Exception):
    """Expected trouble. Rooms subclass it once for each rule in their ``errors.py``.

    code: stable and machine-readable (the specification's where it has one).
    public: what, why, what now; safe to send to whoever asked.
    detail: for the log only; never holds a token, code, assertion, link or key.
    """

    code = "error"
    public = "Something went wrong."
    status = 400

    def __init__(self, public: str | None = None, *, detail: str = "") -> None:
        self.public = public or type(self).public
        self.detail = detail
        super().__init__(f"{self.code}: {detail or self.public}")
