"""What spans of jobs, models and tools are called, and what they tell. [H2]

Names are those of OpenTelemetry's semantic conventions where there are any: gen_ai, http, server, error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from agentapp.lifecycle.opened import Claimed
from agentapp.llm.answers import Embeddings, Reply
from agentapp.observability import tracing
from agentapp.observability.tracing import Span, Work
from agentapp.policies import traceparent


def attempt(job: Claimed) -> AbstractContextManager[Span]:
    """One attempt of a job, below the context of its task: also days later, and whichever attempt it is."""
    trace = traceparent.of_task(job.workflow_id, job.traceparent)
    work = Work(str(job.workflow_id), str(job.id), job.attempt, trace, is_passed_on=bool(job.traceparent))
    attributes: tracing.Attributes = {
        "agentapp.task.id": work.task, "agentapp.task.kind": job.kind, "agentapp.job.id": work.job,
        "agentapp.job.type": job.type, "agentapp.job.attempt": job.attempt, "agentapp.queue": job.queue,
    }  # fmt: skip
    return tracing.working(work, f"job {job.type}", attributes, links=job.links)


def chat(model: str, call: Callable[[], Reply]) -> Reply:
    """Ask a model."""
    with _model_call("chat", model) as span:
        reply = call()
        span.set({"gen_ai.response.model": reply.model, "gen_ai.usage.input_tokens": reply.prompt_tokens})
        span.set({"gen_ai.usage.output_tokens": reply.completion_tokens})
        return reply


def embeddings(model: str, call: Callable[[], Embeddings]) -> Embeddings:
    """Ask an embedding model."""
    with _model_call("embeddings", model) as span:
        vectors = call()
        span.set({"gen_ai.response.model": vectors.model, "gen_ai.usage.input_tokens": vectors.tokens})
        return vectors


def _model_call(operation: str, model: str) -> AbstractContextManager[Span]:
    attributes = {
        "gen_ai.operation.name": operation, "gen_ai.provider.name": "openai", "gen_ai.request.model": model,
    }  # fmt: skip
    return tracing.span(f"{operation} {model}", attributes, kind="client")


def tool_call(name: str) -> AbstractContextManager[Span]:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    return tracing.span(f"execute_tool {name}", attributes)
