"""Who work belongs to, and who may ask for it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from agentapp.policies.permissions import ROLES

# The tenant of `manage.py drill`, whose numbers say nothing about what the platform does for anybody.
DRILL = "drill"


class Tenant(models.Model):
    """A customer or a team. Nothing of one tenant is visible to another."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    tier = models.SlugField(default="standard", help_text="Gates can be made for the tenants of a tier.")
    weight = models.FloatField(default=1, help_text="Its share of busy workers beside the other tenants' weights.")
    suspended_at = models.DateTimeField(null=True, blank=True, help_text="While set, none of its jobs run.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """A person who may see a tenant's work in the admin, and what they may do there. Superusers see every tenant."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")

    role = models.CharField(
        max_length=20, choices=[(role, role) for role in ROLES], blank=True, default="", db_default="",
        help_text="Empty: what the person's permissions and groups in Django say, as before there were roles.",
    )  # fmt: skip
    sees_payloads = models.BooleanField(
        default=True, db_default=True, help_text="May read prompts, responses, inputs and outputs."
    )
    gets_mails = models.BooleanField(
        default=True, db_default=True, help_text="Is told by mail of approvals that wait, where a policy says so."
    )
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "tenant"), name="membership_once"),)

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"


class ApiKey(models.Model):
    """A client's credential: `aa_<prefix>_<secret>`, of which only a hash of the secret is kept."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=16, unique=True, help_text="The public part, shown in lists and histories.")
    secret_sha256 = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=50), default=list)
    sees_payloads = models.BooleanField(
        default=True, db_default=True, help_text="May read prompts, responses, inputs and outputs."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="to the minute")
    replaced_by = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"
