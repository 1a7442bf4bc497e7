"""Schedules of reports, and what became of each of their runs."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q

from audit.exports.schedules.due import EVERY, Rhythm

STATES = ("active", "paused", "stopped")
OUTCOMES = ("making", "ready", "nothing", "failed", "stopped")


def new_ref() -> str:
    """Return a new reference of a schedule."""
    return f"sch_{secrets.token_hex(10)}"


class Schedule(models.Model):
    """One report that comes again. Its name and query may hold names, so they stand here and never in the log.

    owner: in whose name, and within whose part of the log, each export is made. tells: who gets a mail, by ref.
    next_at: when it is due; moved by conditional update only, so that two sweeps make one run. from_at: up to when it has
    reported, or from when on it should. version: counts changes.
    stopped_for: why it can't go on.
    """

    ref = models.CharField(max_length=24, unique=True, default=new_ref)
    owner = models.CharField(max_length=2048)
    name = models.CharField(max_length=100)
    query = models.TextField(blank=True)
    formats = models.JSONField(default=list)
    every = models.CharField(max_length=8, choices=[(every, every) for every in EVERY])
    weekday = models.PositiveSmallIntegerField(null=True)
    zone = models.CharField(max_length=64)
    tells = models.JSONField(default=list)
    state = models.CharField(max_length=8, default="active", choices=[(state, state) for state in STATES])
    stopped_for = models.CharField(max_length=40, blank=True)
    set_at = models.DateTimeField()
    next_at = models.DateTimeField()
    from_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "audit_schedule"
        constraints = [
            models.CheckConstraint(condition=Q(state__in=STATES), name="audit_schedule_state_known"),
            models.CheckConstraint(
                condition=Q(every="week", weekday__lt=7) | ~Q(every="week") & Q(weekday=None),
                name="audit_schedule_weekday_of_weeks",
            ),
        ]
        indexes = [models.Index(fields=["state", "next_at"], name="audit_schedule_due")]

    @property
    def rhythm(self) -> Rhythm:
        """How often it comes."""
        return Rhythm(every=self.every, weekday=self.weekday, zone=self.zone)


class ScheduleRun(models.Model):
    """One run, about [since_at, until_at). export: its ref, empty where there is none. code: why it failed or stopped.

    untold: who has not been told of the outcome yet; tell_at: when that is tried, null where nothing is left to do.
    claimed by moving tell_at. told: how many were mailed. missed: periods before this one that nobody reported.
    """

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="runs")
    since_at = models.DateTimeField()
    until_at = models.DateTimeField()
    ran_at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=[(outcome, outcome) for outcome in OUTCOMES])
    export = models.CharField(max_length=24, blank=True)
    code = models.CharField(max_length=40, blank=True)
    missed = models.PositiveIntegerField(default=0)
    untold = models.JSONField(default=list)
    told = models.PositiveSmallIntegerField(default=0)
    tell_at = models.DateTimeField(null=True)
    tell_tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "audit_schedule_run"
        constraints = [
            models.UniqueConstraint(fields=["schedule", "until_at"], name="audit_schedule_runs_once"),
            models.CheckConstraint(condition=Q(outcome__in=OUTCOMES), name="audit_schedule_outcome_known"),
        ]
        indexes = [
            models.Index(fields=["outcome"], name="audit_schedule_run_open", condition=Q(outcome="making")),
            models.Index(fields=["tell_at"], name="audit_schedule_run_untold", condition=Q(tell_at__isnull=False)),
        ]
