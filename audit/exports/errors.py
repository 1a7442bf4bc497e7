"""Why there is no export. code: stable; ``public`` is for people."""

from __future__ import annotations

from audit.errors import LogError


class ExportError(LogError):
    """Trouble with an export."""

    code = "export"


class NoSuchExport(ExportError):
    """There is no such export, or its bundle is gone."""

    code = "no_export"


class TooManyExports(ExportError):
    """A person, or everybody together, has too many exports that wait or run."""

    code = "too_many_exports"


class RangeRefused(ExportError):
    """A range that is empty, or reaches beyond the log."""

    code = "range_refused"


class FormatMissing(ExportError):
    """A format whose library is not installed."""

    code = "format_missing"


class NothingSigned(ExportError):
    """No checkpoint covers anything that was asked for."""

    code = "nothing_signed"


class Cancelled(ExportError):
    """The export was cancelled, or another worker took it over, while it was made."""

    code = "cancelled"
