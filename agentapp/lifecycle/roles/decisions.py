"""What each class of processes may do in Postgres. A test holds this against all tables and all moves.

S, I, U, D: SELECT, INSERT, UPDATE, DELETE. A table that moves own is written by none of these roles, because its moves
run with the rights of the owner. What is not named is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# The columns that a role may read, where it may not read all of a table; those that it may write, where only these.
Columns = Mapping[str, tuple[str, ...]]

# Written by moves alone, by nobody directly: what happened, and what may happen next.
OWNED_BY_MOVES = frozenset({
    "agentapp_approval", "agentapp_approvalvote", "agentapp_attempt", "agentapp_dispatcherlease", "agentapp_effect",
    "agentapp_history", "agentapp_idempotencykey", "agentapp_job", "agentapp_limit", "agentapp_message",
    "agentapp_reservation", "agentapp_searchcursor", "agentapp_searchentry", "agentapp_stage", "agentapp_tenantday",
    "agentapp_worker", "agentapp_workflow",
})  # fmt: skip
# Of the owner alone: what these roles may do, and what its commands have erased or restored.
OF_THE_OWNER = frozenset({"agentapp_databaserole", "agentapp_erasure", "agentapp_restore", "django_migrations"})

_DJANGO = {
    "auth_group": "SIUD", "auth_group_permissions": "SIUD", "auth_permission": "S", "auth_user": "SIUD",
    "auth_user_groups": "SIUD", "auth_user_user_permissions": "SIUD", "axes_accessattempt": "SIUD",
    "axes_accessattemptexpiration": "SIUD", "axes_accessfailurelog": "SIUD", "axes_accesslog": "SIUD",
    "django_admin_log": "SID", "django_content_type": "S", "django_session": "SIUD", "otp_static_staticdevice": "SIUD",
    "otp_static_statictoken": "SIUD", "otp_totp_totpdevice": "SIUD",
}  # fmt: skip
_RESULTS = {
    "django_celery_results_chordcounter": "SIUD", "django_celery_results_groupresult": "SIUD",
    "django_celery_results_taskresult": "SIUD",
}  # fmt: skip

_PERMISSIONS = dict.fromkeys((
    "auth_group", "auth_group_permissions", "auth_permission", "auth_user_groups", "auth_user_user_permissions",
    "django_content_type",
), "S")  # fmt: skip

# What people and clients edit, and what shows it.
WEB: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(OWNED_BY_MOVES, "S"), **_DJANGO, **dict.fromkeys(_RESULTS, "S"),
    "agentapp_apikey": "SIU", "agentapp_approvalpolicy": "SIUD", "agentapp_artifact": "SID", "agentapp_auditentry": "S",
    "agentapp_bulkcancellation": "SIU", "agentapp_bulkreplay": "SIU", "agentapp_chunk": "SIUD",
    "agentapp_delegation": "SIUD", "agentapp_document": "SIUD", "agentapp_drillreport": "S", "agentapp_gate": "SIUD",
    "agentapp_gatechange": "SI", "agentapp_membership": "SIUD", "agentapp_memory": "SIUD",
    "agentapp_legalhold": "SIUD", "agentapp_prunedtasks": "S", "agentapp_retentionrule": "SIUD",
    "agentapp_memorychange": "SID", "agentapp_modelcall": "SIU", "agentapp_modelcapability": "SIU",
    "agentapp_modelchoice": "SIUD", "agentapp_quartersample": "S", "agentapp_reply": "SI", "agentapp_requestcount": "I",
    "agentapp_sample": "S",
    "agentapp_savedview": "SIUD", "agentapp_schedule": "SIUD", "agentapp_schedulerun": "SIUD",
    "agentapp_servertool": "SIUD", "agentapp_tenant": "SIU", "agentapp_toolserver": "SIUD", "agentapp_total": "S",
    "agentapp_webhookdelivery": "SIUD", "agentapp_webhookendpoint": "SIUD", "agentapp_webhookevent": "SI",
})  # fmt: skip

# What depends on time: it sees all work, and deletes what is kept no longer.
DISPATCHER: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(OWNED_BY_MOVES, "SD"), **_RESULTS, **_PERMISSIONS,
    "agentapp_approvalpolicy": "S", "agentapp_artifact": "SD", "agentapp_auditentry": "SD",
    "agentapp_bulkcancellation": "SUD",
    "agentapp_bulkreplay": "SUD", "agentapp_chunk": "SD", "agentapp_delegation": "SD", "agentapp_document": "SD",
    "agentapp_drillreport": "SD", "agentapp_gate": "S", "agentapp_gatechange": "SID", "agentapp_legalhold": "S",
    "agentapp_membership": "S",
    "agentapp_memory": "SD", "agentapp_memorychange": "SD", "agentapp_modelcall": "SD",
    "agentapp_modelcapability": "SD", "agentapp_modelchoice": "S", "agentapp_quartersample": "SID",
    "agentapp_prunedtasks": "SIUD", "agentapp_retentionrule": "S",
    "agentapp_reply": "SD", "agentapp_requestcount": "SD",
    "agentapp_sample": "SID", "agentapp_schedule": "SU", "agentapp_schedulerun": "SID",
    "agentapp_servertool": "S", "agentapp_tenant": "S", "agentapp_toolserver": "SU", "agentapp_total": "SIU",
    "agentapp_webhookdelivery": "SIUD", "agentapp_webhookendpoint": "SU", "agentapp_webhookevent": "SIUD",
    "axes_accessattempt": "SD", "axes_accessattemptexpiration": "SD", "axes_accessfailurelog": "SD",
    "axes_accesslog": "SD", "django_session": "SD",
})  # fmt: skip

# What bodies of every class read, and keep of what they made.
WORKER: Mapping[str, str] = MappingProxyType({
    **_RESULTS,
    "agentapp_approval": "S", "agentapp_artifact": "SI", "agentapp_attempt": "S", "agentapp_history": "S",
    "agentapp_job": "S", "agentapp_limit": "S", "agentapp_message": "S", "agentapp_modelcall": "SIU",
    "agentapp_modelchoice": "S", "agentapp_reply": "S", "agentapp_stage": "S", "agentapp_tenant": "S",
    "agentapp_workflow": "S",
})  # fmt: skip
_TEXTS = {"agentapp_chunk": "S", "agentapp_document": "S", "agentapp_memory": "S", "agentapp_memorychange": "S"}
# By class, beside that.
WORKERS: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "model": {
        **_TEXTS, **_PERMISSIONS, "agentapp_membership": "S", "agentapp_modelcapability": "SIU",
        "agentapp_servertool": "S", "agentapp_toolserver": "S",
    },
    "retrieval": {
        **_TEXTS, **_PERMISSIONS, "agentapp_chunk": "SU", "agentapp_membership": "S", "agentapp_memory": "SIUD",
        "agentapp_legalhold": "S",
        "agentapp_memorychange": "SID", "agentapp_servertool": "S", "agentapp_toolserver": "S",
    },
    "documents": {**_TEXTS, "agentapp_chunk": "SIUD", "agentapp_document": "SU"},
    "send": {**_PERMISSIONS, "agentapp_approvalpolicy": "S", "agentapp_delegation": "S", "agentapp_membership": "S"},
    "webhooks": {"agentapp_webhookdelivery": "SU", "agentapp_webhookendpoint": "SU", "agentapp_webhookevent": "S"},
    "tools": {"agentapp_gatechange": "I", "agentapp_servertool": "SIUD", "agentapp_toolserver": "SU"},
})  # fmt: skip

# A class that a package has added: it may read what a body of ours may, and keeps nothing but artifacts.
OF_PACKAGES: Mapping[str, str] = MappingProxyType({**_TEXTS, **_PERMISSIONS, "agentapp_membership": "S"})

# Figures for dashboards: what runs, and no content, people or secrets beside it. Of tables that have both, see READS.
READ_ONLY: Mapping[str, str] = MappingProxyType(dict.fromkeys((
    "agentapp_dispatcherlease", "agentapp_drillreport", "agentapp_gate", "agentapp_modelchoice",
    "agentapp_quartersample", "agentapp_sample", "agentapp_tenant", "agentapp_tenantday", "agentapp_total",
    "agentapp_worker",
), "S"))  # fmt: skip

# Of tables that a role may not read whole: the hashes of passwords and keys are for web alone.
_PRINCIPALS: Columns = MappingProxyType({
    "agentapp_apikey": ("id", "scopes"),
    "auth_user": ("id", "username", "first_name", "last_name", "email", "is_active", "is_superuser"),
})  # fmt: skip
# Who may decide is on the staff: the dispatcher tells them by mail.
_PEOPLE: Columns = MappingProxyType({**_PRINCIPALS, "auth_user": (*_PRINCIPALS["auth_user"], "is_staff")})
READS: Mapping[str, Columns] = MappingProxyType({
    "dispatcher": _PEOPLE, "model": _PRINCIPALS, "retrieval": _PRINCIPALS, "send": _PRINCIPALS,
    "readonly": {
        "agentapp_job": (
            "id", "workflow_id", "stage_id", "tenant_id", "type", "queue", "model", "tool", "state", "part", "priority",
            "attempt", "max_attempts", "timeout_s", "replay", "available_at", "started_at", "finished_at",
            "scheduled_at", "published_at", "publishes", "lease_expires_at", "worker", "process", "blocked_by",
        ),
        "agentapp_workflow": (
            "id", "tenant_id", "kind", "version", "state", "priority", "origin", "created_at", "started_at",
            "finished_at", "deadline_at", "run_at", "tokens", "cost_usd", "jobs_total", "jobs_done", "stages_total",
        ),
        "agentapp_modelcall": (
            "id", "tenant_id", "workflow_id", "job_id", "model", "prompt_tokens", "completion_tokens", "cost_usd",
            "started_at", "error_class",
        ),
        "agentapp_history": ("workflow_id", "job_id", "seq", "at", "noun", "from_state", "to_state"),
        "agentapp_approval": ("id", "tenant_id", "workflow_id", "state", "created_at", "decided_at", "expires_at"),
        # Messages of errors and reasons quote what they are about; changes name people and keys.
        "agentapp_attempt": (
            "id", "job_id", "number", "replay", "worker", "in_place", "started_at", "finished_at", "outcome",
            "error_class",
        ),
        "agentapp_gatechange": ("id", "at", "action"),
        "agentapp_limit": (
            "key", "scope", "name", "gate_id", "concurrency", "reserved", "request_s", "request_burst", "request_at",
            "token_s", "token_burst", "token_at", "max_waiting", "tokens_per_day", "cost_usd_per_day", "slowdown",
            "slowed_at", "closed_until", "breaker", "calls", "failures", "window_at", "opens", "mode", "mode_at",
            "holds", "runway", "slots", "waiting", "oldest_at", "per_s", "run_s", "tokens_each",
        ),
        "agentapp_schedulerun": ("id", "schedule_id", "due_at", "is_manual", "outcome", "created_at"),
    },
})  # fmt: skip
# Of tables that a role may not write whole. A row may only be locked by who may write a column of it.
_LOCKED_TO_DELETE = (
    "agentapp_drillreport", "agentapp_gatechange", "agentapp_idempotencykey", "agentapp_memorychange",
    "agentapp_modelcall", "agentapp_reservation", "agentapp_schedulerun",
    "agentapp_tenantday", "agentapp_worker", "agentapp_workflow",
)  # fmt: skip
_SAMPLES = ("agentapp_quartersample", "agentapp_sample")
WRITES: Mapping[str, Columns] = MappingProxyType({
    # A gate that is deleted lets go of its limits.
    "web": MappingProxyType({"agentapp_workflow": ("id",), "agentapp_limit": ("gate_id",)}),
    "dispatcher": MappingProxyType({
        **dict.fromkeys(_LOCKED_TO_DELETE, ("id",)), **dict.fromkeys(_SAMPLES, ("minute",)),
        "agentapp_approval": ("mail_at",), "agentapp_auditentry": ("number", "text_sha256", "link"),
        "agentapp_membership": ("mailed_at",),
    }),
    "worker": MappingProxyType({"agentapp_job": ("clean_up_at",)}),
})  # fmt: skip

# Moves, by who may make them. `worker`: of jobs of its own classes alone, which each of these checks.
MOVES: Mapping[str, frozenset[str]] = MappingProxyType({
    "web": frozenset({
        "archive", "assign", "cancel", "decide", "ensure_keys", "explain", "follow_up", "forget_choice", "fork",
        "index_again", "make_due", "notify", "remaining", "replay", "replay_from", "report", "reserve_spending",
        "resolve", "resolve_gates", "say", "set_mode", "settle_spending", "stages_before", "submit", "withdraw",
    }),
    "dispatcher": frozenset({
        "admit", "ask_clean_up", "backlog", "begin_scheduled", "cancel", "ensure_keys", "expire", "give_up_unclaimed",
        "index_again", "index_changes", "index_older", "lead", "lose", "make_due", "measure", "origin",
        "postgres_uptime", "promote", "publish_again", "recount_days", "remaining", "remind", "replay", "report",
        "resign", "resolve_gates", "set_holds", "silent_processes", "submit", "suspects", "wake_parked",
    }),
    "worker": frozenset({
        "ask_person", "begin_effects", "checkpoint", "claim", "confirm_effects", "end_send", "ensure_keys", "heartbeat",
        "lose", "payload", "remaining", "reopen", "report", "reserve_spending", "resolve_gates", "settle",
        "settle_spending", "submit_child", "switch_model",
    }),
    # The task that a job runs ends with it. Drafts are written again where Postgres itself finds their sources changed.
    "retrieval": frozenset({"cancel", "refresh_draft", "stale_drafts"}),
    "readonly": frozenset(),
    "owner": frozenset({"know_database"}),
})  # fmt: skip
