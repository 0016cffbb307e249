"""One turn of an agent: tell the model the conversation so far, and plan the calls that it asks for. [C5]"""

from collections.abc import Sequence
from typing import Any

from agentapp.errors import PromptTooLong
from agentapp.llm.answers import Message, Reply
from agentapp.policies import budgets
from agentapp.policies.content import canonical_sha256
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, agent_runs, job
from agentapp.tools import conversation, planning
from agentapp.tools.planning import PlannedCall
from agentapp.tools.registry import Tool
from agentapp.tools.servers import remote

# Turns in a row whose calls are all malformed; then the run ends.
MOST_MALFORMED = 3
MOST_TURNS = 100
# Characters of reasoning that are kept of a turn with calls.
MOST_THOUGHT = 20_000


@job(queue="model", scopes={"model:call"}, timeout_s=180, retry=RetryPolicy())
def agent_turn(
    ctx: JobContext,
    *,
    instruction: str,
    material: str = "",
    system: str = "",
    tools: list[str] | None = None,
    max_turns: int = 20,
    budget: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`material` is text of others, which taints the run from its beginning. Without `tools` it has those that read."""
    run = agent_runs.read(ctx, budget)
    scopes, has_customer = frozenset(ctx.granted()), bool(ctx.customer())
    granted = planning.granted(tools, scopes, ctx.server_tools(tools), has_customer=has_customer)
    tainted = bool(material) or run.is_tainted or run.is_of_lesser(granted) or remote.unseen(granted.values())
    if group := run.next_group():
        return _handing_out(run, group, granted, tainted=tainted)
    messages = [
        Message("system", ctx.render("prompts/agent.system.txt", system=system)),
        Message("user", ctx.render("prompts/agent.txt", instruction=instruction, material=material)),
        *run.messages(),
        *conversation.spoken(run.unread),
    ]
    offered = planning.offered(granted)
    may = run.may(messages, offered, max_tokens=ctx.model.answer_tokens(agent_runs.MOST_ANSWERED))
    if isinstance(may, budgets.Ask):
        return _asking(run, may, tainted=tainted)
    if covers := run.to_summarize(messages, offered):
        return _too_long(run, covers, tainted=tainted)
    try:
        reply = ctx.model.converse(messages, tools=offered, at_most=may.max_tokens, preview=True)
    except PromptTooLong:
        # Its tokens were estimated, or nobody has said how many the model reads. A summary is never tried twice.
        if covers := run.to_summarize(messages, offered, is_refused=True):
            return _too_long(run, covers, tainted=tainted)
        raise
    # Where turns have a budget, a person is asked; but no run is endless.
    most = MOST_TURNS if budget and budget.get("turns") else max_turns
    return _answered(ctx, run, reply, granted, tainted=tainted, is_last=run.turns_since_answer + 1 >= most)


def _answered(
    ctx: JobContext, run: agent_runs.Run, reply: Reply, granted: dict[str, Tool], *, tainted: bool, is_last: bool
) -> dict[str, Any]:
    """What is stored of an answer, and what becomes of its calls."""
    number = len(run.told) + 1
    calls = planning.numbered(reply.calls, turn=number)
    plan = planning.plan(calls, granted, tainted=tainted, is_one_by_one=ctx.model.calls_one_by_one)
    malformed = conversation.malformed_in_a_row(run.told) + 1 if plan.refused and not plan.calls else 0
    outcome = _outcome(reply, is_last=is_last, malformed=malformed)
    text = ctx.artifacts.kept(reply.text.strip(), name="turn.txt")
    said = [
        {"id": call.id, "name": call.name, "arguments": call.arguments} | ({"extra": call.extra} if call.extra else {})
        for call in calls
    ]
    # Some providers want to read again what their model thought before it called a tool.
    thought = {"reasoning": reply.reasoning[:MOST_THOUGHT]} if calls and reply.reasoning else {}
    turn = {
        "turn": number, "heard": run.heard, "message": {**text, **thought, "calls": said}, "tainted": tainted,
        "granted": [tool.name for tool in granted.values()], "pins": remote.pins(granted.values()),
    }  # fmt: skip
    if outcome:
        answer = _answer([*run.own, text])
        return {**turn, **_going_on(planning.Plan()), "done": True, "outcome": outcome, "answer": answer}
    return {**turn, **_going_on(plan), "done": False}


def _asking(run: agent_runs.Run, ask: budgets.Ask, *, tainted: bool) -> dict[str, Any]:
    """Ask a person about the budget, without a call of the model; or end the run, where that was rejected."""
    turn = _without_answer(run, tainted=tainted)
    if run.is_rejected(ask):
        answer, outcome = _answer(run.own), f"stopped: budget ({ask.content['budget']})"
        return {**turn, "heard": run.heard, "done": True, "outcome": outcome, "answer": answer}
    content = {"content": ask.content, "content_sha256": canonical_sha256(ask.content)}
    return {**turn, "asks": True, **content}


def _handing_out(
    run: agent_runs.Run, group: list[dict[str, Any]], granted: dict[str, Tool], *, tainted: bool
) -> dict[str, Any]:
    """Have more calls of the turn before run, without a call of the model."""
    plan = planning.handed_out([PlannedCall.model_validate(call) for call in group], granted, tainted=tainted)
    before = run.told[-1].said
    kept: dict[str, Any] = {name: before[name] for name in ("granted", "pins") if name in before}
    return {**_without_answer(run, tainted=tainted), "hands_out": True, **kept, **_going_on(plan)}


def _too_long(run: agent_runs.Run, covers: int, *, tainted: bool) -> dict[str, Any]:
    """Have the first turns summarized before the model is asked."""
    return {**_without_answer(run, tainted=tainted), "is_long": True, "covers": covers}


def _without_answer(run: agent_runs.Run, *, tainted: bool) -> dict[str, Any]:
    """What is stored where the model was not asked: no message is read by that, and the next turn comes."""
    return {
        "turn": len(run.told), "message": {"text": "", "calls": []}, "granted": [], "tainted": tainted, "calls": [],
        "refused": [], "heard": run.heard_before, "asks": False, "done": False,
    }  # fmt: skip


def _going_on(plan: planning.Plan) -> dict[str, Any]:
    """What the stages after this one read: the calls that are to be run, and what a person is asked about first."""
    asked = {"content": plan.content, "content_sha256": canonical_sha256(plan.content)} if plan.content else {}
    calls = [call.model_dump() for call in plan.calls]
    rest = {"rest": [[call.model_dump() for call in group] for group in plan.rest]} if plan.rest else {}
    return {"calls": calls, "refused": plan.refused, "asks": bool(plan.asking), **rest, **asked}


def _outcome(reply: Reply, *, is_last: bool, malformed: int) -> str:
    """Why the run ends with this turn; the empty string where it goes on."""
    if not reply.calls:
        return "stopped: the answer was cut" if reply.finish_reason == "length" else "answered"
    if malformed >= MOST_MALFORMED:
        return "stopped: malformed calls"
    return "stopped: turns" if is_last else ""


def _answer(said: Sequence[dict[str, str]]) -> dict[str, str] | None:
    """The last of these texts that is one: {"text"} or {"text_id"}, an artifact."""
    kept = [{name: one[name] for name in ("text", "text_id") if one.get(name)} for one in said]
    return next((one for one in reversed(kept) if one), None)
