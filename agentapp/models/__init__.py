"""The nouns. Verbs live in agentapp.lifecycle, which alone writes a state.

The tables that change at every step (workflow, stage, job, attempt, history) have no CHECK constraints, which is also
why their integers are not Django's Positive ones: Postgres parses every check of a table again for each statement that
writes to it, and with them a third of a move's time went there. Their values come from the moves alone.
"""

from agentapp.models.approval import Approval
from agentapp.models.approval_policy import ApprovalPolicy, ApprovalVote, Delegation
from agentapp.models.artifact import Artifact
from agentapp.models.attempt import Attempt
from agentapp.models.audit import AuditEntry
from agentapp.models.budget import Reservation, TenantDay
from agentapp.models.bulk_operation import BulkCancellation, BulkOperation
from agentapp.models.bulk_replay import BulkReplay
from agentapp.models.database_role import DatabaseRole
from agentapp.models.dispatcher import DispatcherLease
from agentapp.models.document import Chunk, Document
from agentapp.models.drill_report import DrillReport
from agentapp.models.effect import Effect
from agentapp.models.gate import Gate, GateChange, Limit
from agentapp.models.history import History
from agentapp.models.idempotency_key import IdempotencyKey
from agentapp.models.job import Job
from agentapp.models.memory import Memory, MemoryChange
from agentapp.models.message import Message
from agentapp.models.model_call import ModelCall
from agentapp.models.model_capability import ModelCapability
from agentapp.models.model_choice import ModelChoice
from agentapp.models.reply import Reply
from agentapp.models.request_count import RequestCount
from agentapp.models.restore import Restore
from agentapp.models.retention import Erasure, LegalHold, PrunedTasks, RetentionRule
from agentapp.models.sample import QuarterSample, Sample, Total
from agentapp.models.saved_view import SavedView
from agentapp.models.schedule import Schedule, ScheduleRun
from agentapp.models.search_entry import SearchCursor, SearchEntry
from agentapp.models.stage import Stage
from agentapp.models.tenant import ApiKey, Membership, Tenant
from agentapp.models.tool_server import ServerTool, ToolServer
from agentapp.models.webhook import WebhookDelivery, WebhookEndpoint, WebhookEvent
from agentapp.models.worker import Worker
from agentapp.models.workflow import Workflow

__all__ = [
    "ApiKey",
    "Approval",
    "ApprovalPolicy",
    "ApprovalVote",
    "Artifact",
    "Attempt",
    "AuditEntry",
    "BulkCancellation",
    "BulkOperation",
    "BulkReplay",
    "Chunk",
    "DatabaseRole",
    "Delegation",
    "DispatcherLease",
    "Document",
    "DrillReport",
    "Effect",
    "Erasure",
    "Gate",
    "GateChange",
    "History",
    "IdempotencyKey",
    "Job",
    "LegalHold",
    "Limit",
    "Membership",
    "Memory",
    "MemoryChange",
    "Message",
    "ModelCall",
    "ModelCapability",
    "ModelChoice",
    "PrunedTasks",
    "QuarterSample",
    "Reply",
    "RequestCount",
    "Reservation",
    "Restore",
    "RetentionRule",
    "Sample",
    "SavedView",
    "Schedule",
    "ScheduleRun",
    "SearchCursor",
    "SearchEntry",
    "ServerTool",
    "Stage",
    "Tenant",
    "TenantDay",
    "ToolServer",
    "Total",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "Worker",
    "Workflow",
]
