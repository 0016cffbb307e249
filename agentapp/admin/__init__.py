"""Django's admin over agentapp: pages that show, ask permission, call a service and report."""

import django_celery_results.admin as _results  # noqa: F401 - registers what is taken away below
from django.contrib import admin
from django_celery_results.models import GroupResult, TaskResult
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice

from agentapp.admin import (
    api_keys,
    approval_policies,
    approvals,
    audit,
    bulk_cancellations,
    dead_letters,
    delegations,
    drill_reports,
    gates,
    legal_holds,
    limits,
    memories,
    model_choices,
    people,
    records,
    retention_rules,
    schedules,
    signing_in,
    tasks,
    tenants,
    tool_servers,
    webhooks,
)
from agentapp.admin import documents as documents

__all__ = [
    "api_keys", "approval_policies", "approvals", "audit", "bulk_cancellations", "dead_letters", "delegations",
    "drill_reports", "gates", "legal_holds", "limits", "memories", "model_choices", "people", "records",
    "retention_rules", "schedules", "signing_in", "tasks", "tenants", "tool_servers", "webhooks",
]  # fmt: skip

admin.site.site_title = "agentapp"
admin.site.site_header = "agentapp"
admin.site.index_title = "Overview"
# The main pages stand in the header; the tables need the width.
admin.site.enable_nav_sidebar = False
admin.site.login_form = signing_in.SignInForm

# Celery's own results are none of jobs, and their stock pages would let anybody with rights edit them. Those of second
# factors would show the secrets of all people.
for model in (GroupResult, TaskResult, StaticDevice, TOTPDevice):
    admin.site.unregister(model)
