"""The job types of docs/howto/use_an_agent_framework.md, with the frameworks themselves and the offline model. [C11]"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.models import Job, ModelCall, Workflow
from agentapp.services.principals import Principal
from tasks.apps import load
from tests.frameworks.asking import run
from tests.harness import drain, make_due, run_workflow
from tests.llm.conftest import model_process as model_process
from tests.llm.conftest import provider as provider
from tests.offline_model.process import OfflineModel
from tests.structure.markdown import page
from tests.structure.source import ROOT

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # A process keeps its Celery tasks: the package of the test before has left one of the same name.
    pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning"),
]

HOWTO = page(ROOT / "docs" / "howto" / "use_an_agent_framework.md")
FILES = {"ask_pydantic_ai": 0, "ask_openai_agents": 1, "order_questions": 3}
# Each agent looks two orders up, then answers.
QUESTION = "\n".join(
    [
        "Where are the orders 17 and 18?",
        *(
            f'[offline model: turn] [{{"name": "order_state", "arguments": {{"order": {number}}}}}]'
            for number in (17, 18)
        ),
        '[offline model: turn] "Both were sent on Monday."',
    ]
)
ANSWER = "Both were sent on Monday."


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The examples of the page as a package of somebody's own."""
    folder = tmp_path / "my_frameworks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name, number in FILES.items():
        (folder / f"{name}.py").write_text(HOWTO.blocks("python")[number])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "job_types", dict(registry.job_types))
    monkeypatch.setattr(registry, "flows", dict(registry.flows))
    load("my_frameworks")
    yield "my_frameworks"
    for name in [name for name in sys.modules if name.startswith("my_frameworks")]:
        del sys.modules[name]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that this process connects to, other than this machine's: it connects to none."""
    found: list[Any] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            found.append(address)
            raise OSError("A test reaches loopback alone.")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    return found


def calls(task: Workflow) -> list[tuple[str, int, str]]:
    rows = ModelCall.objects.filter(workflow_id=task.pk).order_by("started_at", "id")
    types = dict(Job.objects.filter(workflow=task).values_list("pk", "type"))
    return [(types[call.job_id or task.pk], call.attempt, call.error_class) for call in rows]


def test_both_frameworks_run_their_loops_in_jobs(
    package: str, principal: Principal, provider: OfflineModel, reached: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-platform")

    task = run_workflow(principal, "order_questions", {"question": QUESTION})

    assert task.state == "completed", list(task.jobs.values_list("type", "state", "error"))
    assert task.result == {"first": ANSWER, "second": ANSWER}
    assert calls(task) == [("ask_pydantic_ai", 1, "")] * 3 + [("ask_openai_agents", 1, "")] * 3
    kept = ModelCall.objects.filter(workflow_id=task.pk).order_by("started_at")[1].answer
    assert kept is not None
    (call,) = kept["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"order": 18}
    assert reached == []
    # Of this SDK a trace is what would be sent to its maker.
    import agents

    assert agents.trace("a run").export() is None


@pytest.mark.parametrize("framework", ["ask_pydantic_ai", "ask_openai_agents"])
def test_a_job_that_runs_again_goes_on_where_its_framework_was(
    package: str, principal: Principal, provider: OfflineModel, clock: Any, framework: str
) -> None:
    registry.add_flow(
        Flow(
            kind=f"only_{framework}", version=1, input=registry.flows["order_questions", 1].input,
            stages=(Step(framework, bind={"question": "input.question"}),),
        )
    )  # fmt: skip
    provider.fail("status", status=503, match={"contains": "Order 18 was sent"})

    task = run_workflow(principal, f"only_{framework}", {"question": QUESTION})
    failed = [(job.state, job.error["class"]) for job in task.jobs.all() if job.error]
    make_due(clock, 3_600)
    drain(task)
    task.refresh_from_db()

    assert failed == [("retryable", "TransientError")]
    assert task.state == "completed" and task.jobs.get().output == {"answer": ANSWER}
    assert calls(task) == [
        (framework, 1, ""), (framework, 1, ""), (framework, 1, "TransientError"), (framework, 2, ""),
    ]  # fmt: skip


async def streamed_by_pydantic_ai(client: Any, question: str) -> str:
    # Not above: each worker would import them, which takes seconds, and one of them runs this module.
    from pydantic_ai import Agent as PydanticAgent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
    agent = PydanticAgent(model, tools=[order_state])
    async with agent.run_stream(question) as ran:
        return str(await ran.get_output())


async def streamed_by_openai_agents(client: Any, question: str) -> str:
    import agents

    model = agents.OpenAIChatCompletionsModel(model="m", openai_client=client)
    agent: agents.Agent[None] = agents.Agent(name="orders", model=model, tools=[agents.function_tool(order_state)])
    ran = agents.Runner.run_streamed(agent, question)
    async for _ in ran.stream_events():
        pass
    return str(ran.final_output)


def order_state(order: int) -> str:
    """Tell the state of an order by its number."""
    return f"Order {order} was sent on Monday."


@pytest.mark.parametrize("stream", [streamed_by_pydantic_ai, streamed_by_openai_agents])
def test_a_framework_may_stream_its_calls(principal: Principal, provider: OfflineModel, stream: Any) -> None:
    done = run(principal, lambda ctx: asyncio.run(stream(ctx.model.async_client(preview=True), QUESTION)))

    assert (done.state, done.output) == ("completed", {"found": ANSWER})
    assert [request["body"]["stream"] for request in provider.requests()] == [True] * 3
