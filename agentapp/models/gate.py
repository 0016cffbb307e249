"""How much may run at once, and how fast: rules that people edit, and what they come to for each key."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from agentapp.states import BreakerState, GateScope, KeyMode


class Gate(models.Model):
    """A rule. Of all rules of a scope, the one that fits a key best holds for it: its own name before a pattern, a
    longer pattern before a shorter one, a tier before any tier.

    `pattern` is a name, or has `*` for any characters: each key that fits is counted apart.
    """

    scope = models.CharField(max_length=10, choices=GateScope)
    pattern = models.CharField(max_length=100, default="*", help_text="a name, or * for any characters: gpt-5*")
    tier = models.CharField(max_length=30, blank=True, help_text="only for tenants of this tier; empty: of any")
    concurrency = models.IntegerField(null=True, blank=True, help_text="how many jobs run at once")
    reserved = models.IntegerField(default=0, help_text="of these, slots that only urgent jobs may take")
    requests_per_min = models.FloatField(null=True, blank=True, help_text="how many may begin in a minute")
    request_burst = models.IntegerField(default=0, help_text="how many of them at once; 0: what 2 seconds allow")
    tokens_per_min = models.FloatField(null=True, blank=True, help_text="tokens a minute, of prompts and answers")
    token_burst = models.IntegerField(default=0, help_text="how many of them at once; 0: what 10 seconds allow")
    max_waiting = models.IntegerField(null=True, blank=True, help_text="tasks that may wait to begin; more get a 429")
    tokens_per_day = models.BigIntegerField(null=True, blank=True, help_text="tokens that models may use in a day")
    cost_usd_per_day = models.FloatField(null=True, blank=True, help_text="US dollars that they may cost in a day")
    note = models.CharField(max_length=300, blank=True, help_text="why it is so")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("scope", "pattern", "tier")
        constraints = (
            models.UniqueConstraint(fields=("scope", "pattern", "tier"), name="gate_once"),
            models.CheckConstraint(condition=Q(scope__in=GateScope.values), name="gate_scope_known"),
            models.CheckConstraint(condition=Q(concurrency=None) | Q(concurrency__gte=0), name="gate_concurrency"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="gate_reserved"),
            models.CheckConstraint(
                condition=Q(requests_per_min=None) | Q(requests_per_min__gt=0), name="gate_requests"
            ),
            models.CheckConstraint(condition=Q(tokens_per_min=None) | Q(tokens_per_min__gt=0), name="gate_tokens"),
        )

    def __str__(self) -> str:
        return f"{self.scope} {self.pattern}" + (f" of tier {self.tier}" if self.tier else "")


class Limit(models.Model):
    """What one key is held to now, as its gate says, and its meters. One row for each key that was ever used.

    A key is "global", "queue:<name>", "job_type:<name>", "tenant:<id>", "budget:<tenant's id>", "tool:<name>" or
    "model:<name>". Claims lock the rows of a job that have something to say, in the order of their keys, and count what
    runs behind the lock: there is no counter of running jobs that could be wrong. Meters of pace are theoretical
    arrival times (GCRA, as in ITU-T I.371): the moment at which the next one would come if all came evenly.
    """

    key = models.CharField(primary_key=True, max_length=120)
    scope = models.CharField(max_length=10)
    name = models.CharField(max_length=100)
    gate = models.ForeignKey(Gate, on_delete=models.SET_NULL, null=True, related_name="limits", db_index=False)
    concurrency = models.IntegerField(null=True)
    reserved = models.IntegerField(default=0)
    request_s = models.FloatField(null=True, help_text="seconds from one to the next")
    request_burst = models.IntegerField(default=1)
    request_at = models.DateTimeField(null=True, help_text="theoretical arrival time")
    token_s = models.FloatField(null=True, help_text="seconds that a token takes")
    token_burst = models.IntegerField(default=1)
    token_at = models.DateTimeField(null=True, help_text="theoretical arrival time")
    max_waiting = models.IntegerField(null=True)
    tokens_per_day = models.BigIntegerField(null=True)
    cost_usd_per_day = models.FloatField(null=True)
    # What a provider or a run of failures asked for.
    slowdown = models.FloatField(default=1, help_text="how many times slower than the gate allows")
    slowed_at = models.DateTimeField(null=True)
    closed_until = models.DateTimeField(null=True, help_text="nothing passes before")
    breaker = models.CharField(max_length=10, choices=BreakerState, default=BreakerState.CLOSED)
    calls = models.IntegerField(default=0, help_text="calls in the breaker's window")
    failures = models.IntegerField(default=0, help_text="of these, failed")
    window_at = models.DateTimeField(null=True, help_text="when the breaker's window began")
    opens = models.IntegerField(default=0, help_text="how often the breaker opened in a row")
    # What people asked for.
    mode = models.CharField(max_length=10, choices=KeyMode, default=KeyMode.OPEN)
    mode_by = models.CharField(max_length=200, blank=True)
    mode_reason = models.CharField(max_length=300, blank=True)
    mode_at = models.DateTimeField(null=True)
    # What the dispatcher and the workers have measured.
    holds = models.BooleanField(default=False, help_text="jobs wait for it: new ones queue behind them")
    runway = models.IntegerField(null=True, help_text="of a queue: messages that the broker may hold")
    slots = models.IntegerField(default=0, help_text="of a queue: bodies that its living workers can run at once")
    waiting = models.IntegerField(default=0, help_text="tasks (of a queue: jobs) that have not begun")
    oldest_at = models.DateTimeField(null=True, help_text="since when the oldest of them waits")
    per_s = models.FloatField(default=0, help_text="how many of them begin in a second")
    run_s = models.FloatField(default=0, help_text="of a job type: how long a body runs")
    tokens_each = models.IntegerField(default=0, help_text="of a job type: tokens that a body uses")

    def __str__(self) -> str:
        return self.key


class GateChange(models.Model):
    """Who changed a gate, a policy, a key, a hold or another setting, stopped or resumed something, or which rule did:
    append-only. The name of its table is from when gates alone left changes."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=20, help_text="created, changed, deleted, paused, draining, open, ...")
    target = models.CharField(max_length=200, help_text="the gate, or the key")
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "change"

    def __str__(self) -> str:
        return f"{self.target} {self.action}"
