"""Which rows belong to which tenant, table by table. A test holds this against all tables.

A role that is bound to the tenant context sees and writes the rows of the tenants in it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# The processes whose roles are bound. The dispatcher works for all tenants, `readonly` holds figures of all.
BOUND = ("web",)

# By a column that holds the number of the tenant. A row where it is empty is the platform's.
BY_COLUMN: Mapping[str, str] = MappingProxyType({
    "agentapp_tenant": "id", "agentapp_auditentry": "tenant_number",
    **dict.fromkeys((
        "agentapp_apikey", "agentapp_approval", "agentapp_approvalpolicy", "agentapp_artifact",
        "agentapp_bulkcancellation", "agentapp_bulkreplay", "agentapp_chunk", "agentapp_delegation",
        "agentapp_document", "agentapp_effect", "agentapp_idempotencykey", "agentapp_job", "agentapp_legalhold",
        "agentapp_membership", "agentapp_memory", "agentapp_memorychange", "agentapp_message", "agentapp_modelcall",
        "agentapp_modelchoice", "agentapp_prunedtasks", "agentapp_reply", "agentapp_retentionrule",
        "agentapp_schedule", "agentapp_tenantday", "agentapp_toolserver",
        "agentapp_webhookdelivery", "agentapp_webhookendpoint", "agentapp_webhookevent", "agentapp_workflow",
    ), "tenant_id"),
})  # fmt: skip

# By the row that they belong to: the column that names it, and its table, whose own policy decides.
BY_PARENT: Mapping[str, tuple[str, str]] = MappingProxyType({
    "agentapp_approvalvote": ("approval_id", "agentapp_approval"), "agentapp_attempt": ("job_id", "agentapp_job"),
    "agentapp_history": ("workflow_id", "agentapp_workflow"), "agentapp_reservation": ("day_id", "agentapp_tenantday"),
    "agentapp_schedulerun": ("schedule_id", "agentapp_schedule"),
    "agentapp_servertool": ("server_id", "agentapp_toolserver"), "agentapp_stage": ("workflow_id", "agentapp_workflow"),
})  # fmt: skip

# What the platform says for all tenants, each of them may read; only the context of all may write it.
SHARED = frozenset({"agentapp_approvalpolicy", "agentapp_modelchoice", "agentapp_retentionrule"})

_FIGURES = "figures of the whole platform, without content"
_LIMITS = "limits of providers, queues and tools, which hold for all"
# Tables of ours without a policy, and why.
NOT_BOUND: Mapping[str, str] = MappingProxyType({
    "agentapp_databaserole": "of the owner alone", "agentapp_erasure": "of the owner alone",
    "agentapp_restore": "of the owner alone",
    "agentapp_drillreport": "of the platform",
    "agentapp_dispatcherlease": _FIGURES, "agentapp_worker": _FIGURES, "agentapp_sample": _FIGURES,
    "agentapp_quartersample": _FIGURES, "agentapp_total": _FIGURES, "agentapp_modelcapability": _FIGURES,
    "agentapp_requestcount": _FIGURES,
    "agentapp_gate": _LIMITS, "agentapp_limit": _LIMITS,
    "agentapp_gatechange": "who has changed what, of limits and of tenants: it names both in words alone",
    "agentapp_savedview": "filters of a person, who may hold several tenants",
    # Postgres uses an index of words within a policy only for operators that it knows to leak nothing, and @@ is none
    # of them. The words are read to find tasks, and those are bound.
    "agentapp_searchentry": "an index beside the tasks, which are bound",
    "agentapp_searchcursor": "how far that index is",
})  # fmt: skip
