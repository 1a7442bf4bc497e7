"""Which actions need the consent of a second person, what each is told by, and who may give it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from aims.people.models import Role

# As the log has it: references, enums, hashes and numbers; never a sentence. The asker's own words are the note.
_REFERENCE = re.compile(r"[\x21-\x7e]{1,2048}")
_ADMINS = frozenset({Role.ADMIN.value})
_ADMINS_AND_AUDITORS = frozenset({Role.ADMIN.value, Role.AUDITOR.value})


class ConsentKind(models.TextChoices):
    """What can be asked. A kind is never renamed: signed bytes and entries name it."""

    HOLD_RELEASE = "hold.release", _("Release a legal hold")
    RETENTION_SHORTEN = "retention.shorten", _("Keep the log for a shorter time")
    PERSON_ERASE = "person.erase", _("Erase a person's data")


class Reason(models.TextChoices):
    """Why it is asked, as the log keeps it."""

    LAW = "law", _("A law or a court asks for it")
    REQUEST = "request", _("The person concerned asks for it")
    POLICY = "policy", _("Our own policy asks for it")
    CASE_CLOSED = "case_closed", _("The case is closed")
    INCIDENT = "incident", _("An incident is looked into")
    MISTAKE = "mistake", _("A mistake is put right")
    OTHER = "other", _("Something else; the note says what")


@dataclass(frozen=True, kw_only=True)
class KindSpec:
    """One kind. params: the parameters it is told by, all of them required, with their types and what pages call them.

    confirmers: who may consent, by role. is_final: whether it can't be undone.
    """

    params: Mapping[str, tuple[type, str | Promise]]
    confirmers: frozenset[str]
    is_final: bool


SPECS: Mapping[ConsentKind, KindSpec] = {
    ConsentKind.HOLD_RELEASE: KindSpec(
        params={"hold": (str, _("Hold"))}, confirmers=_ADMINS_AND_AUDITORS, is_final=False
    ),
    ConsentKind.RETENTION_SHORTEN: KindSpec(
        params={
            "months_before": (int, _("Kept until now, in months")),
            "months": (int, _("Kept from then on, in months")),
        },
        confirmers=_ADMINS_AND_AUDITORS,
        is_final=False,
    ),
    ConsentKind.PERSON_ERASE: KindSpec(
        params={"person": (str, _("Person")), "basis": (str, _("Legal basis"))}, confirmers=_ADMINS, is_final=True
    ),
}


def are_lawful(kind: str, params: Mapping[str, Any]) -> bool:
    """Return whether these are exactly the parameters of a kind, each of its type."""
    if kind not in ConsentKind.values:
        return False
    wanted = SPECS[ConsentKind(kind)].params
    return params.keys() == wanted.keys() and all(
        _fits(params[name], of_type) for name, (of_type, _label) in wanted.items()
    )


def _fits(value: object, kind: type) -> bool:
    if type(value) is not kind:
        return False
    return not isinstance(value, str) or bool(_REFERENCE.fullmatch(value))
