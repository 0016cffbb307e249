"""A limit of a tool holds for the parallel calls of an agent. [E1]"""

from __future__ import annotations

import pytest

from agentapp.dispatch.measurer import Measurer
from agentapp.lifecycle import gates
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Gate, Job, Limit
from agentapp.runtime import runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.harness import be_a_worker
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, script

pytestmark = pytest.mark.django_db


def test_one_call_of_a_tool_runs_at_once_where_its_limit_says_so(
    principal: Principal, agent_model: OfflineModel
) -> None:
    gates.keep(Gate(scope="tool", pattern="calculate", concurrency=1), actor="test")
    calls = [call("calculate", expression=f"{n} + {n}") for n in range(3)] + [call("current_time")]
    task = workflows.submit(principal, kind="agent", input={"instruction": script(calls, "Done.")})
    be_a_worker()
    runner.run(str(Job.objects.get(workflow=task, type="agent_turn").pk))
    jobs = list(Job.objects.filter(workflow=task, type="run_tool").order_by("part"))
    assert [job.tool for job in jobs] == ["calculate"] * 3 + ["current_time"]

    taken = [claim(str(job.pk), worker="test", queues=("model",), lease_s=30) for job in jobs]

    assert [isinstance(one, Claimed) for one in taken] == [True, False, False, True]
    assert taken[1:3] == [Refused("parked")] * 2


def test_a_tool_is_paused_before_anybody_has_used_it() -> None:
    Measurer().measure()

    assert gates.set_mode("tool:send_message", KeyMode.PAUSED, actor="test", reason="not yet")

    assert Limit.objects.get(key="tool:send_message").mode == KeyMode.PAUSED
    with pytest.raises(LookupError):
        gates.set_mode("tool:no_such_tool", KeyMode.PAUSED, actor="test", reason="not yet")
