"""One call of a tool: who may, what a person has approved, and what comes of it. [C6] [H3]

Everything is asked at the moment at which the tool runs: what was planned, and by which model, proves nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from agentapp import registry as job_registry
from agentapp import secret_refs
from agentapp.errors import (
    ContentChanged,
    EffectUnknown,
    InvalidPayload,
    NotApproved,
    NotSent,
    PermanentError,
    PermissionDenied,
    PolicyBlocked,
    TransientError,
)
from agentapp.policies import storable
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import spans
from agentapp.runtime.asking import LONGEST_KEY
from agentapp.runtime.context import JobContext
from agentapp.tools import conversation, registry
from agentapp.tools.context import ToolContext
from agentapp.tools.planning import PlannedCall
from agentapp.tools.registry import ErrorText, Tool

Json = dict[str, Any]
# Of a longer text the beginning is kept.
MOST_CHARACTERS = 100_000
# Of an effect.
LONGEST_TYPE = 50
CHANGED = "The call is no longer what was approved."


def run(ctx: JobContext, call: PlannedCall, approval: Json | None) -> Json:
    """Run a call and return its result for the model: {"id", "tool", "status": ok | error | refused, "text", ...}.

    `approval` is the output of the decision about the calls of this turn, or None.

    Raises:
        PermissionDenied: the principal, or the worker class of this job, may not use the tool any more.
        AsksPerson: it needs an approval, and its turn has asked for none of exactly this call.
        PolicyBlocked: it needs an approval of what cannot be shown, or writes without an effect.
        EffectUnknown: it may have written, and nobody can tell: a person finds out.
        TransientError: it may work next time.
    """
    turn = _turn(ctx)
    tool = registry.find(call.tool) or ctx.server_tool(call.tool, pin=_pin(turn, call))
    if tool is None or call.tool not in turn["granted"]:
        return _result(ctx, call, "error", f"Error: there is no tool {call.tool!r} here.")
    _permit(ctx, tool)
    if tool.unusable:
        return _run(ctx, tool, call, {"arguments": call.arguments}, turn)
    try:
        arguments = tool.check(call.arguments)
    except InvalidPayload as error:
        return _result(ctx, call, "error", f"Error: {error}")
    if tool.needs_approval(tainted=bool(turn["tainted"])):
        decided = approval or {}
        if decided.get("decision") == "rejected":
            return _result(ctx, call, "refused", f"Not run. A person refused: {decided.get('remark') or 'no reason'}")
        try:
            _check_approval(ctx, call, decided)
        except NotApproved as error:
            return _result(ctx, call, "refused", f"Not run. A person refused: {error.reason or 'no reason'}")
    return _run(ctx, tool, call, arguments, turn)


def _turn(ctx: JobContext) -> Json:
    """The turn that made the call, as it is stored: what a payload says of it is not asked."""
    stages = ctx.earlier(conversation.TURN, most=1)
    if not stages or 0 not in stages[0].outputs:
        raise PolicyBlocked("No turn of an agent has asked for this call.")
    return conversation.said(stages[0].outputs[0])


def _pin(turn: Json, call: PlannedCall) -> str:
    """What the model was told of a server's tool when it called it."""
    pins = turn.get("pins")
    return str(pins.get(call.tool, "")) if isinstance(pins, dict) else ""


def _permit(ctx: JobContext, tool: Tool) -> None:
    if tool.queue != ctx.queue:
        raise PermissionDenied(f"The tool {tool.name} is for the worker class {tool.queue}, not for {ctx.queue}.")
    if tool.scope and tool.scope not in ctx.granted():
        raise PermissionDenied(f"The tool {tool.name} needs the scope {tool.scope}, which its principal does not hold.")


def _check_approval(ctx: JobContext, call: PlannedCall, decided: Json) -> None:
    """See that a person has approved exactly this call. Where the turn has asked nobody, because it knew nothing yet of
    what makes the call risky, or where the call or its approval has changed since, this job asks about what would run.

    Raises:
        AsksPerson, NotApproved: as JobContext.ask.
        PolicyBlocked: what a person was shown is not what would run, because a secret in it was masked.
    """
    summary = f"Run the tool {call.tool}?"
    if decided.get("decision") == "approved":
        try:
            if _holds(ctx.approved(decided["approval_id"]).content, call):
                return
        except ContentChanged:
            pass
        summary = f"{summary} {CHANGED}"
    # The ids of calls are a provider's.
    key = f"call:{call.id}"[:LONGEST_KEY]
    if not _holds(ctx.ask(key, {"calls": [call.content]}, summary=summary).content, call):
        raise PolicyBlocked(f"The arguments of {call.tool} are not those that were approved.")


def _holds(content: Json, call: PlannedCall) -> bool:
    return call.sha256 in {canonical_sha256(approved) for approved in content.get("calls", ())}


def _run(ctx: JobContext, tool: Tool, call: PlannedCall, arguments: Json, turn: Json) -> Json:
    ends_s = time.monotonic() + tool.timeout_s
    context = ToolContext(
        tenant_id=ctx.tenant_id, task_id=ctx.workflow_id, call_id=call.id, embed=ctx.model.embed,
        left_s=lambda: max(0.1, min(ends_s - time.monotonic(), ctx.deadline_s())), check=ctx.check,
        release=ctx.release, begin=_effect(ctx, tool, call, turn) if tool.write else None,
        secret_of=lambda name: secret_refs.resolve(name, held=job_registry.worker_classes.get(ctx.queue, ())),
        customer=_customer(ctx, tool), is_tainted=bool(turn["tainted"]),
    )  # fmt: skip
    try:
        with spans.tool_call(tool.name):
            found = tool.body(context, **arguments)
    except (PolicyBlocked, EffectUnknown):
        raise
    except PermanentError as error:
        if context.has_written and not isinstance(error, NotSent):
            raise
        return _result(ctx, call, "error", f"Error: {error}") | _said_by(tool, context)
    except TransientError as error:
        # The model may know another way; but what may have been written is for a person to find out.
        if not ctx.is_last_attempt or (context.has_written and not isinstance(error, NotSent)):
            raise
        return _result(ctx, call, "error", f"Error, after {ctx.attempt} attempts: {error}") | _said_by(tool, context)
    if tool.write and not context.has_written:
        raise PolicyBlocked(f"The tool {tool.name} writes, and has not done so by ctx.effect.")
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return _result(ctx, call, "error" if isinstance(found, ErrorText) else "ok", text) | _said_by(tool, context)


def _said_by(tool: Tool, context: ToolContext) -> Json:
    """An error may quote what the other side has said, too."""
    return {"untrusted": tool.untrusted and not context.is_trusted}


def _customer(ctx: JobContext, tool: Tool) -> str:
    """Whom a tool is about: the task says so, never the model."""
    customer = ctx.customer() if tool.of_customer else ""
    if tool.of_customer and not customer:
        raise PermissionDenied(f"The tool {tool.name} is about a customer, and this task names none.")
    return customer


def _effect(ctx: JobContext, tool: Tool, call: PlannedCall, turn: Json) -> Callable[..., Json]:
    # Of the line of forks: what the origin did with these arguments in this turn is not done again.
    said = canonical_sha256({"tool": call.tool, "arguments": call.arguments})
    key = f"tool:{ctx.root_id}:{_place(call, turn)}:{said[:16]}"

    def begin(send: Callable[[str], Json], **about: Any) -> Json:
        return ctx.effect(key, send, type=tool.offered_as[:LONGEST_TYPE], **about)

    return begin


def _place(call: PlannedCall, turn: Json) -> str:
    """The turn of a call, and which of its equal calls it is: a model that is asked once more may order them anew."""
    equal = {
        one["id"]: one for one in turn["calls"] if (one["tool"], one["arguments"]) == (call.tool, call.arguments)
    }  # fmt: skip
    if call.id not in equal:
        return call.id
    # As the turn has counted them: those of a group before are not among its calls.
    nth = equal[call.id].get("nth")
    return f"{turn['turn']}.{list(equal).index(call.id) if nth is None else nth}"


def _result(ctx: JobContext, call: PlannedCall, status: str, text: str) -> Json:
    """What is stored of a call."""
    kept = ctx.artifacts.kept(storable.text(text, most=MOST_CHARACTERS), name=f"{call.tool}.txt")
    return {"id": call.id, "tool": call.tool, "status": status, **kept}
