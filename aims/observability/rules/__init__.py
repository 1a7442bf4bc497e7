"""The rules over the stream, as data: what each looks for, from when on, and how bad that is. Pure."""

from __future__ import annotations

from aims.observability.rules import deciding, misuse, silence
from aims.observability.rules.seen import Hit as Hit
from aims.observability.rules.seen import Rule as Rule
from aims.observability.rules.seen import Seen as Seen

SEVERITIES = ("low", "medium", "high")
RULES: dict[str, Rule] = {rule.id: rule for rule in (*misuse.RULES, *deciding.RULES, *silence.RULES)}
