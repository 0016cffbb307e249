"""The settings of how much waits, how long it waits, and how long it is kept. See config/env.py."""

from __future__ import annotations

from config import addresses
from config.setting import Setting, days, flag, number, seconds_by_name, some_time, web_address, whole

AGEING_S = Setting(
    "AGENTAPP_AGEING_S",
    30.0,
    some_time,
    "30",
    "After so long a wait for each class between it and urgent a job is overdue, and no longer passed over. Three "
    "times this is the longest that the lowest class is ever stopped.",
    unit="seconds",
)
REPLICA_LACKS_NOTHING = Setting(
    "AGENTAPP_REPLICA_LACKS_NOTHING",
    False,
    flag,
    "1",
    "For the dispatcher: a replica that takes over has every commit that was confirmed, because replication is "
    "synchronous. After a failover nothing is in doubt then.",
)
REPLICA_URL = Setting(
    "DATABASE_REPLICA_URL",
    "",
    addresses.postgres_url,
    "postgresql://user:password@replica:5432/agentapp",
    "A replica from which the web process reads the list of tasks of the API and /metrics. Unset: DATABASE_URL.",
    secret=True,
)
REPLICA_LAG_S = Setting(
    "AGENTAPP_REPLICA_LAG_S",
    5.0,
    number,
    "5",
    "How late that replica may be; one that is later, or does not answer, is not used.",
    unit="seconds",
)
SEND_HOLD_S = Setting(
    "AGENTAPP_SEND_HOLD_S",
    10.0,
    number,
    "10",
    "How long an approved mail is held before it is sent, so that the approval can be withdrawn; 0 sends it at once.",
    unit="seconds",
)
CLAIM_MINUTES = Setting(
    "AGENTAPP_CLAIM_MINUTES",
    30,
    whole,
    "30",
    "After so long the claim of a person on an approval lapses, so that one who has gone home keeps nobody waiting.",
    unit="minutes",
)
PUBLIC_URL = Setting(
    "AGENTAPP_PUBLIC_URL",
    "",
    web_address,
    "https://agentapp.example.org",
    "Address at which people reach the admin, for links in mails to those who decide on approvals, and in "
    "messages for Slack and Teams. Unset: these have no links.",
)
SOFT_MARK_TASKS = Setting(
    "AGENTAPP_SOFT_MARK_TASKS",
    1_000,
    whole,
    "1000",
    "When so many tasks wait to begin, new ones are accepted and told when they should begin.",
    unit="tasks",
)
HARD_MARK_TASKS = Setting(
    "AGENTAPP_HARD_MARK_TASKS",
    100_000,
    whole,
    "100000",
    "When so many tasks wait to begin, new ones are refused with 429. The global gate may say otherwise.",
    unit="tasks",
)
TENANT_MARK_TASKS = Setting(
    "AGENTAPP_TENANT_MARK_TASKS",
    50_000,
    whole,
    "50000",
    "When so many tasks of one tenant wait to begin, its new ones are refused with 429. A gate may say otherwise.",
    unit="tasks",
)

QUEUE_TARGETS_S: Setting[dict[str, float]] = Setting(
    "AGENTAPP_QUEUE_TARGETS_S",
    {"*": 60.0, "documents": 600.0},
    seconds_by_name,
    "*=60,documents=600,model=120",
    "How long a job should wait for a worker of each class at most; * stands for the others. The operations page marks "
    "a queue whose oldest job has waited for longer.",
    unit="seconds",
)
APPROVAL_TARGET_S = Setting(
    "AGENTAPP_APPROVAL_TARGET_S",
    14_400.0,
    some_time,
    "14400",
    "How long an approval should wait for a person at most. The operations page counts those that wait longer.",
    unit="seconds",
)

KEEP_COMPLETED_DAYS = Setting(
    "AGENTAPP_KEEP_COMPLETED_DAYS",
    90,
    days,
    "30",
    "How long a completed task is kept with all that belongs to it; 0 keeps it forever.",
    unit="days",
)
KEEP_CANCELLED_DAYS = Setting(
    "AGENTAPP_KEEP_CANCELLED_DAYS",
    90,
    days,
    "30",
    "How long a cancelled task is kept; 0 keeps it forever.",
    unit="days",
)
KEEP_FAILED_DAYS = Setting(
    "AGENTAPP_KEEP_FAILED_DAYS", 365, days, "365", "How long a failed task is kept; 0 keeps it forever.", unit="days"
)
KEPT_CALL_CHARACTERS = Setting(
    "AGENTAPP_KEPT_CALL_CHARACTERS",
    20_000,
    whole,
    "0",
    "How much is kept with each call of a model, of its prompt and of its answer, for who may see payloads in the "
    "admin; 0 keeps none. It is deleted with its task.",
    unit="characters",
)
KEEP_AUDIT_DAYS = Setting(
    "AGENTAPP_KEEP_AUDIT_DAYS",
    1_095,
    days,
    "1095",
    "How long the audit chain keeps what people have done; 0 keeps it forever.",
    unit="days",
)
MAX_PAYLOAD_BYTES = Setting(
    "AGENTAPP_MAX_PAYLOAD_BYTES",
    1_048_576,
    whole,
    "1048576",
    "Largest payload of a job, as its plan binds it; a job with a larger one is a dead letter.",
    unit="bytes",
)
COMPACT_AT_TOKENS = Setting(
    "AGENTAPP_COMPACT_AT_TOKENS",
    100_000,
    whole,
    "60000",
    "When the model of an agent would be told more, it is told a summary of the first turns instead; 0: never. Tokens "
    "are estimated from above, one for two bytes: set it below the context window of the smallest model of agents.",
    unit="tokens",
)
MAX_OUTPUT_BYTES = Setting(
    "AGENTAPP_MAX_OUTPUT_BYTES",
    1_048_576,
    whole,
    "1048576",
    "Largest output or checkpoint of a job, as JSON; what is larger belongs into an artifact.",
    unit="bytes",
)
FAN_OUT_MAX_PARTS = Setting(
    "AGENTAPP_FAN_OUT_MAX_PARTS",
    10_000,
    whole,
    "10000",
    "Most parts of one fan-out; a stage with more is not opened, and its task needs attention.",
    unit="parts",
)
