"""Agents in real processes: calls in parallel, and a worker that is killed at every turn. [C5] [D3] [D7]"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import pytest

from tests.acceptance.deployment import FAILPOINTS, Deployment, until
from tests.acceptance.scale import sized
from tests.agents import record
from tests.tasks.agent_runs import call, script

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(900, 1200))]

Json = dict[str, Any]
TURNS = sized(2, 20)
# Where a worker dies, twice in each turn: each stored answer of the model must stand, each effect that was begun must
# be found.
PLACES = (
    "settle.after@agent_turn", "effect.call.after@run_tool", "claim.after@agent_turn", "settle.before@run_tool",
)  # fmt: skip


def submit(deployment: Deployment, instruction: str, **more: Any) -> str:
    return deployment.submit("agent", instruction=instruction, **more)


def conversation(deployment: Deployment, task: str) -> list[Json]:
    """What the jobs of a run have stored, in the order of its plan."""
    found = deployment.ask("GET", f"/tasks/{task}/jobs?limit=200", key="approver_api_key").json()["results"]
    return [job["output"] for job in found if job["state"] == "completed"]


def test_calls_of_a_turn_run_at_the_same_time_and_are_told_in_their_order(deployment: Deployment) -> None:
    calls = [call("hold", gate="parallel", number=number) for number in range(3)]
    before = record.count(deployment.broker, "held:parallel")
    task = submit(deployment, script(calls, "All three."), tools=["hold"])

    until(lambda: record.count(deployment.broker, "held:parallel") == before + 3, "all three run")
    record.let_go(deployment.broker, "parallel", count=3)

    assert deployment.reach(task, "completed")["result"]["answer"] == "All three."
    results = [output["text"] for output in conversation(deployment, task) if "tool" in output]
    assert results == ["number 0", "number 1", "number 2"]


def test_a_run_whose_worker_is_killed_at_every_turn_is_the_same_run(deployment: Deployment) -> None:
    turns = [
        [call("post_note", text=f"note {turn}"), call("calculate", expression=f"{turn} + 1")]
        # One more: a worker that is quick may pass a place before it is armed.
        for turn in range(TURNS + 1)
    ]
    asked = script(*turns, "All is noted.")
    tools = ["post_note", "calculate"]
    whole = submit(deployment, asked, tools=tools, max_turns=TURNS + 3)
    deployment.reach(whole, "completed")
    wanted, told = conversation(deployment, whole), [body["messages"] for body in deployment.asked()]
    deployment.reset()

    armed = list(islice(cycle(PLACES), 2 * TURNS))
    folder = deployment.home / FAILPOINTS
    (folder / armed[0]).touch()
    task = submit(deployment, asked, tools=tools, max_turns=TURNS + 3)
    for number, place in enumerate(armed):
        (folder / place).touch()
        until(lambda place=place: not (folder / place).exists(), f"kill {number}, {place}")  # type: ignore[misc]
    deployment.reach(task, "completed")

    assert conversation(deployment, task) == wanted
    assert [body["messages"] for body in deployment.asked()] == told, "no answer that was stored is asked for again"
    lost = [job for job in deployment.jobs(task) if "lost" in {one["outcome"] for one in job["attempts"]}]
    print(f"{len(armed)} kills in {len(turns)} turns of a run: {len(lost)} of its jobs were lost and run again")
    notes = [line["text"] for line in deployment.recorder.lines("effect") if line.get("task") == task]
    assert notes == [f"note {turn}" for turn in range(TURNS + 1)], "each effect once"
    assert lost, "workers did die over its jobs"
