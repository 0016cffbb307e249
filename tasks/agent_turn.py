"""One turn of an agent: tell the model the conversation so far, and plan the calls that it asks for. [C5]"""

from typing import Any

from agentapp.llm.answers import Message, Reply
from agentapp.policies.content import canonical_sha256
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from agentapp.tools import conversation, planning

# Turns in a row whose calls are all malformed; then the run ends.
MOST_MALFORMED = 3
MOST_TOKENS = 8_000


@job(queue="model", scopes={"model:call"}, timeout_s=180, retry=RetryPolicy())
def agent_turn(
    ctx: JobContext,
    *,
    instruction: str,
    material: str = "",
    system: str = "",
    tools: list[str] | None = None,
    max_turns: int = 20,
) -> dict[str, Any]:
    """`material` is text of others, which taints the run from its beginning. Without `tools` it has those that read."""
    stored = ctx.conversation(conversation.TURN, conversation.APPROVAL, conversation.RESULTS)
    told, unread = conversation.turns(stored.stages, stored.messages)
    heard = sum(message.workflow_id == ctx.workflow_id for message in stored.messages)
    granted = planning.granted(tools, frozenset(ctx.granted()))
    messages = [
        Message("system", ctx.render("prompts/agent.system.txt", system=system)),
        Message("user", ctx.render("prompts/agent.txt", instruction=instruction, material=material)),
        *conversation.messages(told, read=ctx.artifacts.read),
        *conversation.spoken(unread),
    ]
    reply = ctx.model.converse(messages, tools=planning.offered(granted), max_tokens=MOST_TOKENS, preview=True)
    tainted = bool(material) or any(turn.is_tainted for turn in told) or any(one.is_untrusted for one in unread)
    calls = planning.numbered(reply.calls, turn=len(told) + 1)
    plan = planning.plan(calls, granted, tainted=tainted)
    malformed = conversation.malformed_in_a_row(told) + 1 if plan.refused and not plan.calls else 0
    is_last = conversation.since_answer(told, ctx.workflow_id) + 1 >= max_turns
    outcome = _outcome(reply, is_last=is_last, malformed=malformed)
    text = ctx.artifacts.kept(reply.text.strip(), name="turn.txt")
    said = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]
    turn = {
        "turn": len(told) + 1, "heard": heard, "message": {**text, "calls": said}, "granted": list(granted),
        "tainted": tainted,
    }  # fmt: skip
    if outcome:
        own = [turn for turn in told if turn.task == ctx.workflow_id]
        return {**turn, **_going_on(planning.Plan()), "done": True, "outcome": outcome, "answer": _answer(text, own)}
    return {**turn, **_going_on(plan), "done": False}


def _going_on(plan: planning.Plan) -> dict[str, Any]:
    """What the stages after this one read: the calls that are to be run, and what a person is asked about first."""
    asked = {"content": plan.content, "content_sha256": canonical_sha256(plan.content)} if plan.content else {}
    calls = [call.model_dump() for call in plan.calls]
    return {"calls": calls, "refused": plan.refused, "asks": bool(plan.asking), **asked}


def _outcome(reply: Reply, *, is_last: bool, malformed: int) -> str:
    """Why the run ends with this turn; the empty string where it goes on."""
    if not reply.calls:
        return "stopped: the answer was cut" if reply.finish_reason == "length" else "answered"
    if malformed >= MOST_MALFORMED:
        return "stopped: malformed calls"
    return "stopped: turns" if is_last else ""


def _answer(text: dict[str, str], told: list[conversation.Turn]) -> dict[str, str] | None:
    """The text of the last turn that has one: {"text"} or {"text_id"}, an artifact."""
    said = [turn.said["message"] for turn in told] + [text]
    kept = [{name: one[name] for name in ("text", "text_id") if one.get(name)} for one in said]
    return next((one for one in reversed(kept) if one), None)
