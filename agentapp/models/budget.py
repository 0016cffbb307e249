"""What the models of a tenant have used in a day, where it has a budget for that."""

from __future__ import annotations

from django.db import models

from agentapp.models.tenant import Tenant


class TenantDay(models.Model):
    """What all calls of a tenant's models in one day (UTC) have used, as far as it is settled."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    tokens = models.BigIntegerField(default=0)
    # Finer than that of a call: a thousand calls of a ten-millionth of a dollar each are counted.
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("day", "tenant"), name="tenant_day_once"),)

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.day}"


class Reservation(models.Model):
    """What a call that is under way may use at most. It has the id of the ModelCall that settles it.

    A call that never comes back (its process was killed) is not counted any more after `expires_at`.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    day = models.ForeignKey(TenantDay, on_delete=models.CASCADE, related_name="reservations")
    tokens = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)
