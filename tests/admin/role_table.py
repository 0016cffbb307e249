"""Which role is the least that may see, open and do what: what test_role_matrix.py goes through."""

from __future__ import annotations

from agentapp.policies.permissions import OPERATOR_SCOPES

V, G, O, A, S = "viewer", "agent", "operator", "administrator", "superuser"  # noqa: E741 - columns of a table
LEAST_FIRST = (V, G, O, A, S)

# Of each kind of record: who sees the list and its pages, who sees the page on which one is made.
PAGES: dict[str, tuple[str, str | None]] = {
    "apikey": (A, A), "approval": (V, None), "approvalpolicy": (S, S), "artifact": (V, None),
    "auditentry": (S, None), "bulkcancellation": (V, O), "bulkreplay": (V, O), "deadletter": (V, None),
    "delegation": (G, G), "document": (V, O),
    "drillreport": (S, None), "effect": (V, None), "gate": (S, S), "gatechange": (S, None), "legalhold": (O, A),
    "limit": (S, None),
    "membership": (A, A), "memory": (V, None), "modelcall": (V, None), "modelchoice": (S, S),
    "retentionrule": (O, A), "schedule": (V, O),
    "tenant": (V, S), "toolserver": (S, S), "webhookdelivery": (V, None), "webhookendpoint": (V, None),
    "workflow": (V, None),
}  # fmt: skip
# The forms of a record's page, by what their button says; "" where there is one alone.
FORMS: dict[str, dict[str, str]] = {
    "apikey": {"do=rotate": A, "": A},
    "approval": dict.fromkeys(
        ("decision=approve", "decision=edit", "decision=request_changes", "decision=reject", "decision=claim",
         "decision=take_over", "decision=release", "decision=snooze", "decision=wake", "decision=withdraw",
         "decision=assign"), G),
    "approvalpolicy": {"action=delete": S, "": S},
    "bulkcancellation": {"": O},
    "bulkreplay": {"": O},
    "delegation": {"action=end": A},
    "deadletter": dict.fromkeys(
        ("action=replay", "action=back", "action=cancel", "action=enter", "action=resolve", "action=fill",
         "action=edit", "action=notify"), O),
    "document": {"": O},
    "gate": {"action=delete": S, "": S},
    "legalhold": {"": A},
    "limit": {"action=pause": S, "action=drain": S, "action=resume": S},
    "membership": dict.fromkeys(
        ("action=change", "action=password", "action=deactivate", "action=activate", "action=remove",
         "action=mails", "action=forget",
         "action=sessions"), A),
    "memory": {"action=correct": O, "action=erase": O, "action=erase_all": O},
    "modelchoice": {"action=delete": S, "": S},
    "retentionrule": {"action=preview": A, "action=delete": A, "": A},
    "schedule": {"action=run": O, "action=pause": O, "action=resume": O, "action=delete": O, "": O},
    "tenant": {"": S},
    "toolserver": {"action=decide": S, "action=refresh": S, "action=delete": S, "": S},
    "webhookdelivery": {"": O},
    "webhookendpoint": {"action=test": O, "action=enable": O, "action=disable": O},
    "workflow": {"": O},
}  # fmt: skip
# What is done to rows that were ticked in a list.
OF_LISTS = {
    "apikey": {"revoke": A}, "approval": {"approve_equal": G}, "deadletter": {"replay": O, "replay_kind": O},
    "document": {"remove": O}, "limit": {"pause": S, "drain": S, "resume": S}, "memory": {"remove": O},
}  # fmt: skip
# What stands beside the records: who sees it, and what one asks it with.
VIEWS: dict[str, tuple[str, str]] = {
    "saved_views": (V, "post"), "overview": (V, "get"), "compare": (V, "get"), "search": (V, "get"),
    "switch": (S, "post"), "admin:auth_user_sessions": (S, "post"),
    "time_zone": (V, "get"), "second_factor": (V, "get"), "admin:agentapp_approval_watch": (G, "get"),
    "admin:agentapp_approval_mails": (V, "post"), "admin:agentapp_approval_equal": (G, "get"),
}  # fmt: skip
CONSOLE = {
    "console": V, "console_rows": V, "console_stream_token": V, "console_task": V, "console_parts": V,
    "console_new": O, "console_cancel": O, "console_say": O, "console_fork": O, "console_look_after": G,
    "console_replay": O,
}  # fmt: skip
READ_WITHOUT_A_RIGHT = {"console", "console_rows", "console_task", "console_parts"}
# The least role of people who hold a scope: keys hold no more than who made them.
SCOPES = {
    "tasks:read": V, "approvals:read": V, "documents:read": V, "memories:read": V, "webhooks:read": V,
    "schedules:read": V, "tools:read": V, "approvals:decide": G, "tasks:write": O, "documents:write": O,
    "memories:write": O, "dead_letters:write": O, "webhooks:write": O, "schedules:write": O, "tools:write": O,
    "people:write": A, "api_keys:write": A, "retention:read": O, "retention:write": A,
    **dict.fromkeys(OPERATOR_SCOPES, S),
}  # fmt: skip


HOLDS_PAYLOADS = {"approval", "artifact", "deadletter", "memory", "schedule", "webhookdelivery", "workflow"}
# In texts of the knowledge base, in reasons, names and descriptions: none is a payload.
SHOW_THE_WORD = {"document", "bulkcancellation", "bulkreplay", "schedule", "webhookendpoint"}
# Of these records who only looks on in their tenant sees none, whatever they may elsewhere.
HIDDEN = ("apikey", "delegation", "legalhold", "membership", "retentionrule")
