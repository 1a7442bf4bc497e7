"""The tables of the log. Nobody outside this room reads or writes them; triggers refuse to change what was written.

Strings, not foreign keys: an entry outlives what it speaks of.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

REFERENCE_MAX = 2048
TILE_WIDTH = 256  # C2SP tlog-tiles


class InboxRow(models.Model):
    """An event that committed with its change and waits for its place in the tree."""

    payload = models.BinaryField(help_text="canonical bytes without recorded_at")


class SetAside(models.Model):
    """A row of the inbox that is no event: kept as it was found, while an entry in the log holds its hash."""

    payload = models.BinaryField()
    set_aside_at = models.DateTimeField()


class Log(models.Model):
    """One origin of the log. A restore that would fork history begins the next generation, never re-grows this one.

    base: global index of its first entry, so that indexes are never used twice.
    trouble: why signing stopped (``behind``, ``inconsistent``, ``key_missing``, ``storage``, …), or empty.
    """

    generation = models.PositiveIntegerField(primary_key=True)
    origin = models.CharField(max_length=255, unique=True)
    vkey = models.CharField(max_length=400)
    base = models.BigIntegerField()
    begun_at = models.DateTimeField()
    trouble = models.CharField(max_length=16, blank=True)


class Head(models.Model):
    """The right edge of the tree: one row, locked by whoever grows or signs it.

    frontier: roots of the complete subtrees, largest first, 32 bytes each.
    """

    generation = models.PositiveIntegerField()
    base = models.BigIntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    frontier = models.BinaryField()
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pk=1), name="audit_head_is_one_row"),
            models.CheckConstraint(condition=Q(size__gte=0), name="audit_head_size_not_negative"),
        ]


class Entry(models.Model):
    """One leaf. ``canon`` holds the exact bytes that were hashed; the columns repeat them for searching."""

    index = models.BigIntegerField(primary_key=True)
    event_id = models.CharField(max_length=36, unique=True)
    type = models.CharField(max_length=120)
    by = models.CharField(max_length=REFERENCE_MAX)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    agent = models.CharField(max_length=REFERENCE_MAX, null=True)
    subject = models.CharField(max_length=REFERENCE_MAX, null=True)
    resource = models.CharField(max_length=REFERENCE_MAX, null=True)
    action = models.CharField(max_length=REFERENCE_MAX, null=True)
    decision = models.CharField(max_length=16, null=True)
    txn = models.CharField(max_length=REFERENCE_MAX, null=True)
    posture = models.CharField(max_length=REFERENCE_MAX, null=True)
    remediation = models.CharField(max_length=REFERENCE_MAX, null=True)
    canon = models.BinaryField()

    class Meta:
        indexes = [
            models.Index(fields=["agent", "-index"], name="audit_by_agent"),
            models.Index(fields=["subject", "-index"], name="audit_by_subject"),
            models.Index(fields=["by", "-index"], name="audit_by_by"),
            models.Index(fields=["resource", "-index"], name="audit_by_resource"),
            models.Index(fields=["type", "-index"], name="audit_by_type"),
            models.Index(fields=["txn"], name="audit_by_txn", condition=~Q(txn=None)),
            models.Index(
                fields=["decision", "-index"],
                name="audit_by_decision",
                condition=Q(decision__in=["approve", "ask", "deny"]),  # the others are most of the log
            ),
            models.Index(fields=["remediation", "-index"], name="audit_by_remediation", condition=~Q(remediation=None)),
            models.Index(fields=["recorded_at"], name="audit_by_time"),
        ]


class Rollup(models.Model):
    """How many entries of one kind were numbered within an hour. See ``rollups``.

    key: a hash of agent, type, decision and resource, which are empty where the entries have none.
    """

    pk = models.CompositePrimaryKey("hour", "key")
    hour = models.DateTimeField()
    key = models.BinaryField(max_length=16)
    agent = models.CharField(max_length=REFERENCE_MAX)
    type = models.CharField(max_length=120)
    decision = models.CharField(max_length=16)
    resource = models.CharField(max_length=REFERENCE_MAX)
    n = models.BigIntegerField()


class PeriodCount(models.Model):
    """Rollups of a month, a week or a day that is over, added up. See ``search.periods``. at: its first moment, in UTC.

    A month and a week are kept kind by kind, and so is a month up to the end of the day that ``at`` begins; a day by decision
    alone, and by decision with one of agent, type and resource.
    """

    class Grain(models.TextChoices):
        """What is added up."""

        MONTH = "month"
        TO_DATE = "to-date"
        WEEK = "week"
        DAY = "day"
        AGENT = "agent"
        TYPE = "type"
        RESOURCE = "resource"

    pk = models.CompositePrimaryKey("grain", "at", "key")
    grain = models.CharField(max_length=8, choices=Grain)
    at = models.DateTimeField()
    key = models.BinaryField(max_length=16)
    agent = models.CharField(max_length=REFERENCE_MAX)
    type = models.CharField(max_length=120)
    decision = models.CharField(max_length=16)
    resource = models.CharField(max_length=REFERENCE_MAX)
    n = models.BigIntegerField()


class Term(models.Model):
    """A value that a column of the log has in a month. See ``search.terms``. month: as 202611, in UTC."""

    pk = models.CompositePrimaryKey("field", "value", "month")
    field = models.CharField(max_length=16)
    value = models.CharField(max_length=REFERENCE_MAX)
    month = models.PositiveIntegerField()


class SavedSearch(models.Model):
    """A query under a name. owner: ref of the person who keeps it. Deleting it changes nothing in the log."""

    slug = models.CharField(max_length=22, primary_key=True)
    owner = models.CharField(max_length=REFERENCE_MAX)
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000)
    is_shared = models.BooleanField()
    saved_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["owner"], name="audit_search_by_owner")]


class Tile(models.Model):
    """Up to 256 hashes of one level. Full tiles never change; the right edge only grows. Spec: C2SP tlog-tiles."""

    pk = models.CompositePrimaryKey("generation", "level", "index")
    generation = models.PositiveIntegerField()
    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    data = models.BinaryField(max_length=TILE_WIDTH * 32)


class Checkpoint(models.Model):
    """A signed tree head, as served. ``note`` is the signed note's exact text."""

    generation = models.PositiveIntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    note = models.TextField()
    signed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["generation", "size"], name="audit_one_checkpoint_a_size")]


class Cosignature(models.Model):
    """A witness's signature line on one of our checkpoints, verified before it was stored. Spec: C2SP tlog-cosignature.

    witness: the name it signs under. key_id: eight hex digits. cosigned_at: as signed, POSIX seconds.
    """

    generation = models.PositiveIntegerField()
    size = models.BigIntegerField()
    witness = models.CharField(max_length=255)
    key_id = models.CharField(max_length=8)
    line = models.TextField()
    cosigned_at = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["generation", "witness", "key_id", "size", "cosigned_at"], name="audit_cosigned_once"
            )
        ]


class Timestamp(models.Model):
    """A time stamping authority's token on one of our checkpoints, verified before it was stored. Spec: RFC 3161.

    token: the TimeStampResp as it came, DER. stamped_at: its genTime.
    """

    generation = models.PositiveIntegerField()
    size = models.BigIntegerField()
    token = models.BinaryField()
    stamped_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["generation", "size"], name="audit_one_time_stamp_a_size")]


class Check(models.Model):
    """The last check of a kind, or the one that runs: how far it is, and what it found.

    kind: ``full``, ``incremental`` or ``tiles``. upto, total: entries. memory: where a walk goes on, within ``generation``.
    wanted_by: who asked for one that has not begun. bad, where, index: what was wrong, as in a verdict. good_at: when one
    of this kind last found nothing wrong, over ``good_upto`` entries.
    """

    kind = models.CharField(max_length=12, primary_key=True)
    wanted_by = models.CharField(max_length=REFERENCE_MAX, blank=True)
    generation = models.PositiveIntegerField(default=0)
    memory = models.TextField(blank=True)
    upto = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    bad = models.TextField(blank=True)
    where = models.CharField(max_length=120, blank=True)
    index = models.BigIntegerField(null=True)
    good_at = models.DateTimeField(null=True)
    good_upto = models.BigIntegerField(default=0)
    said_at = models.DateTimeField(null=True)


class WitnessState(models.Model):
    """How it went with one witness last, or with the time stamping authority (no key id). trouble: empty, or why its answer was of no use; since trouble_at."""

    key_id = models.CharField(max_length=8)
    witness = models.CharField(max_length=255)
    asked_at = models.DateTimeField()
    trouble = models.CharField(max_length=24, blank=True)
    trouble_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["witness", "key_id"], name="audit_one_state_a_witness")]


class FailureCount(models.Model):
    """Unauthenticated failures of one source, code and minute, until they become one entry."""

    source = models.CharField(max_length=40)
    code = models.CharField(max_length=80)
    minute_at = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "code", "minute_at"],
                name="audit_failure_counted_once",
            )
        ]


from audit.exports.models import Export as Export  # noqa: E402  its table is one of this app's
from audit.exports.schedules.models import Schedule as Schedule  # noqa: E402
from audit.exports.schedules.models import ScheduleRun as ScheduleRun  # noqa: E402
from audit.feeds.models import Feed as Feed  # noqa: E402
from audit.keeping.models import Erasure as Erasure  # noqa: E402
from audit.keeping.models import Gone as Gone  # noqa: E402
from audit.keeping.models import Hold as Hold  # noqa: E402
from audit.keeping.models import Keeping as Keeping  # noqa: E402
from audit.keeping.models import PersonalValue as PersonalValue  # noqa: E402
