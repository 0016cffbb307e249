"""What clients say to a conversation: to a task that runs, or after it is completed. [C5]"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import Q, QuerySet

from agentapp import flows, registry
from agentapp.dispatch import publisher
from agentapp.errors import AskedBefore, IllegalMove, InvalidInput, NotFound
from agentapp.ids import uuid7
from agentapp.lifecycle import messages as moves
from agentapp.lifecycle.submit import NamedRequest
from agentapp.models import Job, Message, Workflow
from agentapp.policies import storable
from agentapp.services import idempotency, new_task, workflows
from agentapp.services.principals import Principal, owner
from agentapp.states import JobState, WorkflowState
from agentapp.tools import conversation
from agentapp.tools import registry as tool_registry

MOST_CHARACTERS = 50_000
# How often others may be faster, each with a new task.
MOST_OVERTAKEN = 20


@dataclass(frozen=True)
class Accepted:
    message: Message
    is_repeated: bool = False


def takes(workflow: Workflow) -> bool:
    """Whether something can be said to a task: its kind is a conversation, and it runs or is completed."""
    flow = registry.flows.get((workflow.kind, workflow.version))
    over = (WorkflowState.FAILED, WorkflowState.CANCELLED)
    return flow is not None and flow.conversation is not None and workflow.state not in over


def listing(principal: Principal, workflow_id: UUID) -> QuerySet[Message]:
    """The messages of a conversation up to this task, oldest first."""
    workflow = workflows.get(principal, workflow_id)
    found = Message.objects.filter(workflow__in=moves.chain(workflow.pk), tenant_id=workflow.tenant_id)
    return found.order_by("created_at", "number", "id")


def read_by(messages: list[Message]) -> dict[UUID, int]:
    """Return the numbers of the turns that have read these messages; those that none has read are left out."""
    found: dict[UUID, int] = {}
    tasks = {message.workflow_id for message in messages}
    rows = Job.objects.filter(workflow__in=tasks, state=JobState.COMPLETED, output__has_key="heard")
    turns = rows.exclude(stage__spec__has_key="superseded").order_by("workflow", "stage__position")
    for task, heard, turn in turns.values_list("workflow_id", "output__heard", "output__turn"):
        for message in messages:
            # A person may have entered anything.
            if message.workflow_id == task and message.number <= conversation.heard_by({"heard": heard}):
                found.setdefault(message.pk, turn if isinstance(turn, int) else 0)
    return found


def say(
    principal: Principal,
    workflow_id: UUID,
    *,
    text: str,
    is_untrusted: bool = False,
    request: NamedRequest | None = None,
) -> Accepted:
    """Say something to a conversation.

    While its task runs, the next turn reads it. A completed task stays as it is: a new task goes on with the
    conversation, for this principal; `message.workflow_id` is the task that reads it. What is said to a task whose
    conversation has gone on already goes to the newest one. A message of others (`is_untrusted`), or of a principal who
    may let an agent do less than the task's own may, taints the run.

    Raises:
        InvalidInput: no text, too long, or not to be stored.
        IllegalMove: the task is no conversation, failed or was cancelled; or too many messages wait to be read.
        Overloaded, KeyUsedOtherwise, BeingAsked, NotFound, PermissionDenied: as for any task.
    """
    principal.require("tasks:write")
    _check(text)
    try:
        with idempotency.once(request):
            return Accepted(_stored(principal, workflow_id, text, request, is_untrusted=is_untrusted))
    except AskedBefore as earlier:
        # The name of a message that began a task stands for the task.
        first = Q(workflow=earlier.workflow_id, number=1)
        message = Message.objects.filter(Q(pk=earlier.workflow_id) | first).first()
        if message is None:
            raise NotFound("This message was deleted with its task.") from None
        return Accepted(message, is_repeated=True)


def _stored(
    principal: Principal, workflow_id: UUID, text: str, request: NamedRequest | None, *, is_untrusted: bool
) -> Message:
    """Store a message with the newest task of a conversation."""
    for _ in range(MOST_OVERTAKEN):
        task = workflows.get(principal, workflow_id)
        principal.require("tasks:write", task.tenant_id)
        message = moves.NewMessage(uuid7(), text, is_untrusted or _may_less(principal, task))
        said = moves.say(task.pk, message, actor=principal.actor, request=request)
        if said.is_over and said.next is None:
            message = replace(message, is_untrusted=is_untrusted)
            said = _follow_up(principal, task, message, said, request)
        if not said.is_over:
            publisher.publish(said.opened)
            return Message.objects.get(pk=message.id)
        workflow_id = said.next or workflow_id
    raise IllegalMove("This conversation goes on too fast. Send the message again.")


def _follow_up(
    principal: Principal, origin: Workflow, message: moves.NewMessage, said: moves.Said, request: NamedRequest | None
) -> moves.Said:
    """Begin a task that goes on with the conversation of a completed one. Its principal is who says this."""
    if said.state != WorkflowState.COMPLETED:
        raise IllegalMove(f"This task is {said.state}, and its conversation does not go on. Submit a new one.")
    flow = registry.latest_flow(origin.kind)
    if flow is None or flow.conversation is None:
        raise IllegalMove(f"The kind {origin.kind} is no conversation any more. Submit a new task.")
    workflow = Workflow(
        id=uuid7(), kind=flow.kind, version=flow.version, input=new_task.check_input(flow, origin.input),
        result_bind=flows.paths_of(flow.result), continues=origin.pk, **owner(principal),
    )  # fmt: skip
    made, pressure = moves.follow_up(
        workflow, message, stages=flows.plan(flow), actor=principal.actor, request=request
    )  # fmt: skip
    if pressure.refused:
        raise workflows.overloaded(pressure)
    return made


def _may_less(principal: Principal, task: Workflow) -> bool:
    """Whether an agent of this principal could not use all tools that one of the task's own principal may use."""
    mine = owner(principal)
    if (task.api_key_id, task.user_id) == (mine["api_key_id"], mine["user_id"]):
        return False
    return any(
        tool.scope and tool.scope not in principal.scopes_in(task.tenant_id) for tool in tool_registry.registered()
    )


def _check(text: str) -> None:
    if not text.strip():
        raise InvalidInput.at("text", "Say something.")
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput.at("text", f"A message has at most {MOST_CHARACTERS:,} characters.")
    if not storable.is_storable(text):
        raise InvalidInput.at("text", "It holds a character that cannot be stored.")
