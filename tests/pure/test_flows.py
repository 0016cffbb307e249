"""Workflow kinds as data: what a plan looks like, and what is wrong with one. [C3]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from agentapp import flows, registry
from agentapp.flows import Decision, FanOut, Flow, Join, Repeat, Stage, Step, When
from agentapp.policies.retry import RetryPolicy


class Question(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    text: str


class Lenient(pydantic.BaseModel):
    text: str


def find(ctx: object, *, source: str, text: str) -> dict[str, Any]:
    return {}


def write(ctx: object, *, text: str, found: list[dict[str, Any]], remark: str | None = None) -> dict[str, Any]:
    return {}


def judge(ctx: object, *, draft: str) -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
def three_job_types(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "job_types", {})
    for body, queue in ((find, "retrieval"), (write, "model"), (judge, "model")):
        registry.add_job_type(
            registry.JobType(
                name=body.__name__, body=body, queue=queue, timeout_s=30, retry=RetryPolicy(max_attempts=2),
                scopes=frozenset(), schema=registry.schema_of(body.__name__, body),
            )
        )  # fmt: skip
    yield


FIND = FanOut("find", over=["documents", "mail"], each="source", bind={"text": "input.text"})
WRITE = Step("write", bind={"text": "input.text", "found": "find", "remark": "approval.remark?"})
JUDGE = Step(
    "judge", bind={"draft": "write.draft"}, repeat=Repeat("write", when=When("judge.verdict", equals="no"), at_most=2)
)
ASK = Decision(back_to="write", bind={"content": "write.content", "content_sha256": "write.sha256"})


def flow(*stages: Stage, result: dict[str, Any] | None = None) -> Flow:
    return Flow(kind="answer", version=1, input=Question, stages=stages, result=result or {})


def test_a_flow_that_holds_together_has_no_problems() -> None:
    assert flows.check(flow(FIND, WRITE, JUDGE, ASK, result={"draft": "write.draft", "by": "approval.decision"})) == []


@pytest.mark.parametrize(
    ("stages", "result", "problem"),
    [
        ((Step("fly", bind={}),), {}, "There is no job type fly"),
        ((Step("judge", bind={}),), {}, "the parameter draft of judge is not bound"),
        ((Step("judge", bind={"draft": "input.text", "mood": 1}),), {}, "mood is not a parameter of judge"),
        ((Step("judge", bind={"draft": "write.draft"}), WRITE), {}, "draft: write is not a stage before it"),
        ((Step("judge", bind={"draft": "wriet.draft?"}),), {}, "draft: wriet is not a stage before it"),
        ((FanOut("find", over="plan.sources", each="source", bind={"text": "input.text"}),), {}, "over: plan is not"),
        ((FIND, WRITE, JUDGE, Decision(back_to="edit", bind={})), {}, "it goes back to edit, which is not a stage"),
        ((FIND,), {"draft": "write.draft"}, "result draft: write is not a stage before it"),
    ],
    ids=["unknown type", "unbound", "unknown parameter", "later stage", "typo", "over", "back to", "result"],
)
def test_what_is_wrong_with_a_flow_is_said_in_a_sentence(
    stages: tuple[Stage, ...], result: dict[str, Any], problem: str
) -> None:
    problems = flows.check(flow(*stages, result=result))

    assert any(problem in sentence for sentence in problems), problems
    assert all(sentence.startswith("answer v1, ") for sentence in problems)


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        (
            FanOut("find", over="input.sources", each="source", bind=FIND.bind, join=Join("at_least"), name="more"),
            "at least one part",
        ),
        (FanOut("find", over=7, each="source", bind=FIND.bind, name="more"), "fans out over 7, which is no list"),
        (Step("judge", bind=JUDGE.bind, sets={"colour": "judge.colour"}), "the priority or the risk"),
        (Step("judge", bind=JUDGE.bind, sets={"risk": "nowhere.risk"}), "nowhere is not a stage before it"),
        (
            Step("judge", bind=JUDGE.bind, repeat=Repeat("write", when=When("judge.verdict", equals="no"), at_most=0)),
            "at least once",
        ),
        (
            Decision(back_to="write", bind={"content": "write.content"}, name="second"),
            "content_sha256, which is not bound",
        ),
    ],
)
def test_what_could_not_be_opened_or_used_is_said_at_start(stage: Stage, problem: str) -> None:
    (found,) = flows.check(flow(FIND, WRITE, stage, ASK))

    assert problem in found


LATER = When("judge.verdict", equals="no")
BOUND = {"content": "write.content", "content_sha256": "write.sha256"}


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ((Step("write", bind=WRITE.bind), Step("write", bind=WRITE.bind)), "2 stages have the name write"),
        ((Step("write", bind=WRITE.bind, name="input"),), "cannot have the name 'input'"),
        ((Step("write", bind=WRITE.bind, name="a.b"),), "cannot have the name 'a.b'"),
        ((Step("write", bind=WRITE.bind, when=LATER), JUDGE), "when: judge is not a stage before it"),
        ((Step("write", bind=WRITE.bind, repeat=Repeat("write", when=LATER, at_most=1)), JUDGE),
         "repeat: judge is not a stage before it"),
        ((Step("write", bind=WRITE.bind, when=When(True)), JUDGE), "a condition reads a path"),  # type: ignore[arg-type]
        ((Step("write", bind=WRITE.bind, when=When("input.text")), JUDGE), "draft: write may be skipped"),
        ((Step("write", bind=WRITE.bind, when=When("input.text")), Decision(bind=BOUND)), "write may be skipped"),
        ((WRITE, JUDGE, Decision(bind=BOUND, on_reject="stop")), "on_reject is end or continue"),  # type: ignore[arg-type]
        ((WRITE, Decision(bind=BOUND, repeat=Repeat("input", when=LATER, at_most=1)), JUDGE), "goes back to input"),
        ((WRITE, Decision(bind=BOUND, repeat=Repeat("write", when=When("approval.decision"), at_most=10_001)), JUDGE),
         "is more than a task can hold"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition_a_loop_or_a_name(stages: tuple[Stage, ...], problem: str) -> None:
    problems = flows.check(flow(FIND, *stages))

    assert any(problem in sentence for sentence in problems), problems


def test_any_stage_may_be_named_skipped_and_repeated() -> None:
    written = When("write.verdict", equals="no")
    again = Step("write", name="again", bind=WRITE.bind, when=written, repeat=Repeat("write", when=written, at_most=9))
    found = FanOut("find", over="again.parts", each="source", name="more", bind=FIND.bind, when=written,
                   repeat=Repeat("again", when=When("more"), at_most=9))  # fmt: skip
    asked = Decision(bind=BOUND, when=written, repeat=Repeat("more", when=When("approval.decision"), at_most=9))

    assert flows.check(flow(FIND, WRITE, again, found, asked)) == []
    step, fan_out, decision = flows.plan(flow(again, found, asked))
    assert step["name"] == "again" and step["job_type"] == "write"
    for stage in (step, fan_out, decision):
        assert stage["spec"]["when"] == {"path": flows.path_of("write.verdict"), "equals": "no"}
        assert "field" not in stage["spec"]["repeat"] and stage["spec"]["repeat"]["at_most"] == 9
    assert "back_to" not in decision["spec"] and "on_reject" not in decision["spec"]


def test_in_a_loop_a_stage_may_read_a_later_one_of_the_round_before() -> None:
    assert flows.check(flow(FIND, WRITE, JUDGE, ASK)) == []
    strict = Step("write", bind={**WRITE.bind, "remark": "approval.remark"})
    assert "approval is not a stage before it" in flows.check(flow(FIND, strict, JUDGE, ASK))[0]


def test_an_input_that_would_lose_surplus_fields_is_a_problem() -> None:
    (problem,) = flows.check(Flow(kind="answer", version=1, input=Lenient, stages=()))

    assert "its input must forbid surplus fields" in problem


def test_the_element_of_a_fan_out_counts_as_bound() -> None:
    assert flows.check(flow(FIND)) == []


@pytest.mark.parametrize(
    ("binding", "stored"),
    [
        ("input.text", {"from": "input", "path": ["text"], "optional": False}),
        ("write.draft.body?", {"from": "write", "path": ["draft", "body"], "optional": True}),
        ("find", {"from": "find", "path": [], "optional": False}),
        (7, {"const": 7}),
        (["a", "b"], {"const": ["a", "b"]}),
        (None, {"const": None}),
    ],
)
def test_a_string_is_a_path_and_everything_else_a_constant(binding: Any, stored: dict[str, Any]) -> None:
    assert flows.path_of(binding) == stored


def test_a_plan_freezes_limits_and_bindings() -> None:
    fan_out, step, _, decision = flows.plan(flow(FIND, WRITE, JUDGE, ASK))

    assert (fan_out["name"], fan_out["kind"], fan_out["job_type"]) == ("find", "fan_out", "find")
    assert fan_out["spec"] == {
        "bind": {"text": {"from": "input", "path": ["text"], "optional": False}},
        "queue": "retrieval",
        "timeout_s": 30,
        "max_attempts": 2,
        "max_payload_bytes": 1_048_576,
        "max_parts": 10_000,
        "over": {"const": ["documents", "mail"]},
        "each": "source",
        "join": {"rule": "all", "n": 0},
    }
    assert (step["kind"], step["spec"]["queue"]) == ("job", "model")
    assert (decision["name"], decision["kind"], decision["job_type"]) == ("approval", "decision", "")
    assert decision["spec"]["back_to"] == "write"


def test_a_plan_holds_loops_joins_and_what_a_stage_sets() -> None:
    urgent = Step("judge", bind={"draft": "write.draft"}, sets={"priority": "judge.priority"}, repeat=JUDGE.repeat)
    some = FanOut("find", over="input.sources", each="source", bind=FIND.bind, join=Join("at_least", n=2))

    fan_out, _, step = flows.plan(flow(some, WRITE, urgent))

    assert fan_out["spec"]["join"] == {"rule": "at_least", "n": 2}
    when = {"path": {"from": "judge", "path": ["verdict"], "optional": False}, "equals": "no"}
    # Workers of the release before read `field` and `equals`.
    assert step["spec"]["repeat"] == {
        "back_to": "write", "when": when, "field": "verdict", "equals": "no", "at_most": 2
    }  # fmt: skip
    assert step["spec"]["sets"] == {"priority": {"from": "judge", "path": ["priority"], "optional": False}}


def test_the_kinds_that_ship_have_no_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    shipped = [item for (kind, _), item in registry.flows.items() if not kind.startswith("probe")]

    assert shipped
    assert [problem for item in shipped for problem in flows.check(item)] == []
