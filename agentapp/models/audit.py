"""What people have done, as a chain that shows when it was changed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class AuditEntry(models.Model):
    """One act of a person, a key or a command: a change of a setting that is a row, a decision, an erase. A trigger
    writes it beside the record of the act; the dispatcher seals it a little later: `number` and what follows.

    `erased`: the tenant or person that it names was erased; number and digests stay, so that the chain holds.
    """

    at = models.DateTimeField()
    tenant_number = models.BigIntegerField(null=True, blank=True, help_text="of the task; empty: of the platform")
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=300, help_text="what it was done to")
    source = models.CharField(max_length=20, help_text="the kind of record: change, history or erasure")
    source_key = models.CharField(max_length=60, help_text="the record's primary key")
    detail_sha256 = models.CharField(max_length=64, help_text="of what else the record says")
    is_erased = models.BooleanField(default=False, db_default=False)
    number = models.BigIntegerField(null=True, unique=True, help_text="1, 2, 3, ...; empty: not sealed yet")
    text_sha256 = models.CharField(max_length=64, blank=True, db_default="", help_text="of the columns before")
    link = models.CharField(
        max_length=64, blank=True, db_default="", help_text="keyed hash over number, text and the link before"
    )

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = (
            models.Index(fields=("id",), condition=Q(number=None), name="audit_not_sealed"),
            # An erase.
            models.Index(fields=("tenant_number",), condition=~Q(tenant_number=None), name="audit_tenant"),
            models.Index(fields=("source", "source_key"), name="audit_source"),
        )

    def __str__(self) -> str:
        return f"{self.number or 'not sealed'}: {self.actor} {self.action} {self.target}"
