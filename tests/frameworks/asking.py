"""A job type whose body is what a test wants, and which asks a model through a client of the openai library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.models import Job
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import drain, make_due, run_workflow
from tests.llm.odd_server import Json, Odd, OddServer, completion, whole

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)
TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"id": "c-7", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}

# What the body of a test does.
Body = Callable[[JobContext], Any]
body: list[Body] = []


@job(queue="model", scopes={"model:call"}, retry=RetryPolicy(max_attempts=3))
def probe_frameworks(ctx: JobContext) -> dict[str, Any]:
    return {"found": body[-1](ctx)}


registry.add_flow(Flow(kind="probe_frameworks", version=1, input=kinds.Anything, stages=(Step("probe_frameworks"),)))


def says(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def ask(client: openai.OpenAI, text: str) -> str:
    answer = client.chat.completions.create(model="whatever", messages=says(text))
    return answer.choices[0].message.content or ""


def three_calls(ctx: JobContext) -> list[str]:
    """Each asks what the one before it has answered, as the loop of a framework does."""
    client, said = ctx.model.client(), ["first"]
    for _ in range(3):
        said.append(ask(client, said[-1]))
    return said


def echo(request: Json) -> Odd:
    return whole(completion({"content": f"re: {request['messages'][-1]['content']}"}))


def run(principal: Principal, doing: Body) -> Job:
    body.append(doing)
    return Job.objects.get(workflow=run_workflow(principal, "probe_frameworks"))


def again(found: Job, clock: Any) -> Job:
    make_due(clock, 3_600)
    drain()
    found.refresh_from_db()
    return found


def asked(odd: OddServer) -> list[str]:
    return [request["messages"][-1]["content"] for request in odd.requests]


DOWN = whole({"error": {"message": "The server is down"}}, status=503)
BUSY = whole({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "2"})
EMPTY = whole({"error": {"message": "Insufficient Balance"}}, status=402)
NO = whole({"error": {"message": "too long", "code": "context_length_exceeded"}}, status=400)
