"""Which wording of a prompt a model was asked with stands on its call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.template import engines
from pytest_django import Settings

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.models import ModelCall
from agentapp.runtime import JobContext, job
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import OddServer, completion, whole

pytestmark = [pytest.mark.django_db(transaction=True)]


@job(queue="model", scopes={"model:call"})
def probe_is_prompted(ctx: JobContext, *, text: str) -> dict[str, Any]:
    ctx.model.complete(ctx.render("own.txt", text=text), system=ctx.render("own.system.txt"))
    return {"plain": ctx.model.complete(f"{text}, in words of the body").text}


registry.add_flow(
    Flow(
        kind="probe_is_prompted", version=1, input=kinds.Anything,
        stages=(Step("probe_is_prompted", bind={"text": "input.text"}),),
    )
)  # fmt: skip


def prompts(principal: Principal) -> list[list[str]]:
    """What the calls of one more task were asked with, oldest first."""
    task = run_workflow(principal, "probe_is_prompted")
    return list(ModelCall.objects.filter(workflow_id=task.pk).order_by("id").values_list("prompts", flat=True))


def test_another_wording_is_another_version(
    principal: Principal, odd: OddServer, tmp_path: Path, settings: Settings
) -> None:
    engine = {**next(each for each in settings.TEMPLATES if each.get("NAME") == "prompts"), "DIRS": [tmp_path]}
    settings.TEMPLATES = [each for each in settings.TEMPLATES if each.get("NAME") != "prompts"] + [engine]
    odd.answer = lambda _: whole(completion({"content": "Yes."}))
    (tmp_path / "own.txt").write_text("Answer: {{ text }}")
    (tmp_path / "own.system.txt").write_text("You answer.")

    first, plain = prompts(principal)
    exchange = ModelCall.objects.earliest("id").exchange
    assert exchange is not None and [one["text"] for one in exchange["messages"]] == ["You answer.", "Answer: hello"]
    assert (exchange["reply"]["text"], exchange["reply"]["role"]) == ("Yes.", "assistant")
    (tmp_path / "own.txt").write_text("Please answer: {{ text }}")
    of_django: Any = engines["prompts"]
    of_django.engine.template_loaders[0].reset()
    second, _ = prompts(principal)

    assert [version.partition("@")[0] for version in first] == ["own.system.txt", "own.txt"]
    assert first[0] == second[0] and first[1] != second[1] and plain == []
