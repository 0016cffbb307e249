"""/kinds: what a client can submit, described so that a form can be made of it."""

from __future__ import annotations

from typing import Annotated

import jsonschema
import pydantic
import pytest

from agentapp import flows, registry
from agentapp.flows import Flow, Step
from agentapp.models import Tenant
from tests.api.conftest import QUESTION, Api, problem_of
from tests.lifecycle import looping_kinds as looping_kinds

pytestmark = pytest.mark.django_db


def test_kinds_are_listed_by_name_and_those_of_the_platform_are_not(api: Api) -> None:
    found = api.get("/kinds").json()
    names = [item["kind"] for item in found["results"]]
    assert names == sorted(names) == registry.kinds() and found["next"] is None
    assert "support_reply" in names and "drill_send" not in names
    shown = next(item for item in found["results"] if item["kind"] == "support_reply")
    assert set(shown) == {"kind", "version", "title", "description"}
    assert (shown["version"], shown["title"]) == (1, "Answer a customer's question")


def test_a_kind_shows_its_input_as_json_schema_and_its_stages(api: Api) -> None:
    kind = api.get("/kinds/support_reply").json()
    schema = kind["input_schema"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(QUESTION, schema)
    with pytest.raises(jsonschema.ValidationError, match="customer_email"):
        jsonschema.validate({"subject": "a", "body": "b"}, schema)
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        jsonschema.validate(QUESTION | {"colour": "red"}, schema)
    plain = {"when": None, "repeat": None}
    assert kind["stages"][0] == {"name": "classify_ticket", "kind": "job", "job_type": "classify_ticket"} | plain
    assert kind["stages"][1]["kind"] == "fan_out"
    assert {"name": "approval", "kind": "decision", "job_type": None} | plain in kind["stages"]
    revised = {"path": "evaluate_answer.verdict", "equals": "revise"}
    assert kind["stages"][3]["repeat"] == {"back_to": "generate_draft", "when": revised, "at_most": 2}


def test_a_kind_shows_when_a_stage_is_skipped(api: Api) -> None:
    _, decision, _ = api.get("/kinds/loop_agent").json()["stages"]

    assert decision["when"] == {"path": "loop_turn.asks", "equals": True}
    assert decision["repeat"]["when"] == {"path": "approval.decision", "equals": "rejected"}


def test_every_kind_can_be_described(api: Api) -> None:
    for kind in registry.kinds():
        jsonschema.Draft202012Validator.check_schema(api.get(f"/kinds/{kind}").json()["input_schema"])


def test_an_internal_kind_is_as_unknown_as_one_that_nobody_has(api: Api) -> None:
    answers = [problem_of(api.get(f"/kinds/{kind}"), 404)["detail"] for kind in ("drill_send", "no_such_kind")]
    assert answers[0].replace("drill_send", "no_such_kind") == answers[1]


def test_the_newest_version_of_a_kind_is_shown(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "flows", dict(registry.flows))
    newest = registry.latest_flow("probe_loop")
    assert newest is not None
    registry.add_flow(Flow(kind="probe_loop", version=2, input=newest.input, stages=newest.stages))
    assert api.get("/kinds/probe_loop").json()["version"] == 2
    assert [item["version"] for item in api.get("/kinds").json()["results"] if item["kind"] == "probe_loop"] == [2]


def test_kinds_need_a_key_and_no_scope(tenant: Tenant, make_key: object, platform: Api) -> None:
    problem_of(Api().get("/kinds"), 401)
    assert platform.get("/kinds/probe_loop").status_code == 200


class Opaque:
    """A type that JSON Schema cannot describe."""


class Undescribed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    text: Annotated[Opaque, pydantic.Field()]


def test_a_kind_whose_input_cannot_be_described_is_noticed_when_it_is_registered() -> None:
    flow = Flow(kind="opaque", version=1, input=Undescribed, stages=(Step("probe_judge"),))
    assert ["JSON Schema" in problem for problem in flows.check(flow)] == [True]
