"""Values that many answers hold."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field

from agentapp.models.workflow import RISKS
from agentapp.policies import priority
from agentapp.services import gates
from agentapp.states import ApprovalState as _ApprovalState
from agentapp.states import AttemptOutcome, BreakerState, BulkReplayState, GateScope, KeyMode, WorkflowState
from agentapp.states import JobState as _JobState

Object: TypeAlias = dict[str, Any]
"""Any JSON object."""


def one_of(values: Any) -> Any:
    """Return the field of a text that is one of these."""
    return Field(json_schema_extra={"enum": list(values)})


def like(value: Object) -> ConfigDict:
    """Return the configuration of a type that has this example."""
    return ConfigDict(json_schema_extra={"examples": [value]})


Id: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Moment: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Sha256: TypeAlias = Annotated[str, Field(json_schema_extra={"pattern": "^[0-9a-f]{64}$", "examples": ["0" * 64]})]
Fingerprint: TypeAlias = Annotated[
    str, Field(json_schema_extra={"pattern": "^[0-9a-f]{12}$", "examples": ["941030b96218"]})
]

TaskState: TypeAlias = Annotated[str, one_of(WorkflowState.values)]
JobState: TypeAlias = Annotated[str, one_of(_JobState.values)]
ApprovalState: TypeAlias = Annotated[str, one_of(_ApprovalState.values)]
Outcome: TypeAlias = Annotated[str, one_of(AttemptOutcome.values)]
BulkState: TypeAlias = Annotated[str, one_of(BulkReplayState.values)]
Priority: TypeAlias = Annotated[str, one_of(priority.NAMES)]
Risk: TypeAlias = Annotated[str, one_of(name for name, _ in RISKS)]
Scope: TypeAlias = Annotated[str, one_of(GateScope.values)]
KeyScope: TypeAlias = Annotated[str, one_of(gates.KEY_SCOPES)]
Mode: TypeAlias = Annotated[str, one_of(KeyMode.values)]
Breaker: TypeAlias = Annotated[str, one_of(BreakerState.values)]

ID = "0192d1f0-6c1a-7d4e-9a35-2f1b7c3d4e5f"
SECOND_ID = "0192d1f0-6c2b-7a10-8b46-3a2c8d4e5f60"
MOMENT = "2026-01-31T08:00:00.123456Z"
LATER = "2026-01-31T08:00:04.512000Z"
