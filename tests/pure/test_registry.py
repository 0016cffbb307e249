"""Job types: a function's signature is its payload schema. [C2]"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp import registry
from agentapp.errors import InvalidPayload, InvalidPlan
from agentapp.flows import Flow
from agentapp.policies.retry import RetryPolicy
from tests.pure import quick


def summarize(ctx: object, *, text: str, words: int = 100, tags: list[str] | None = None) -> dict[str, Any]:
    return {}


def translate(ctx: object, *, text: str) -> dict[str, Any]:
    return {}


class Nothing(pydantic.BaseModel):
    """The input of flows whose input does not matter."""


def job_type(body: Callable[..., Any] = summarize, *, queue: str = "model", scopes: set[str] | None = None) -> Any:
    return registry.JobType(
        name=body.__name__, body=body, queue=queue, timeout_s=60, retry=RetryPolicy(),
        scopes=frozenset(scopes or set()), schema=registry.schema_of(body.__name__, body),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "job_types", {})
    monkeypatch.setattr(registry, "flows", {})
    yield


def test_a_payload_that_fits_becomes_the_arguments() -> None:
    assert job_type().check({"text": "hello", "words": 5}) == {"text": "hello", "words": 5, "tags": None}


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ({}, "text: This field is required"),
        ({"text": "x", "colour": "red"}, "colour: There is no such field"),
        ({"text": 7}, "text: This must be a string"),
        ({"text": "x", "words": "many"}, "words: This must be a whole number"),
        ({"text": "x", "tags": ["a", 1]}, "tags.1: This must be a string"),
    ],
    ids=["missing", "surplus", "wrong type", "not a number", "inside a list"],
)
def test_a_payload_that_does_not_fit_is_refused_by_the_parameters_name(payload: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidPayload, match=names) as refused:
        job_type().check(payload)

    assert str(refused.value).startswith("summarize: ")


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidPayload, match=r"text: .* colour: "):
        job_type().check({"colour": "red"})


def test_required_are_the_parameters_without_a_default() -> None:
    assert job_type().required == {"text"}


def test_the_context_is_no_part_of_the_payload() -> None:
    assert set(registry.schema_of("summarize", summarize).model_fields) == {"text", "words", "tags"}


@quick
@given(st.dictionaries(st.text(max_size=10), st.integers() | st.text(max_size=10), max_size=4))
def test_a_payload_is_either_refused_or_exactly_the_parameters(payload: dict[str, Any]) -> None:
    checked = job_type()
    try:
        arguments = checked.check(payload)
    except InvalidPayload:
        return
    assert set(arguments) == {"text", "words", "tags"}
    assert isinstance(arguments["text"], str)


def test_two_functions_cannot_be_one_job_type() -> None:
    registry.add_job_type(job_type())
    elsewhere = type("Elsewhere", (), {"__module__": "somewhere.else"})
    second = registry.JobType(
        name="summarize", body=elsewhere, queue="model", timeout_s=1, retry=RetryPolicy(), scopes=frozenset(),
        schema=registry.schema_of("summarize", summarize),
    )  # fmt: skip

    with pytest.raises(InvalidPlan, match=r"exists twice.*somewhere\.else"):
        registry.add_job_type(second)


def test_an_unknown_worker_class_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidPlan, match=r"'gpu'.*documents, model, retrieval, send"):
        registry.add_job_type(job_type(queue="gpu"))


def test_a_worker_class_must_hold_what_its_job_type_asks_for() -> None:
    with pytest.raises(InvalidPlan, match="model does not hold mail:send"):
        registry.add_job_type(job_type(queue="model", scopes={"mail:send"}))


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (RetryPolicy(backoff_s=()), "has no wait"), (RetryPolicy(backoff_s=(1.0, float("nan"))), "has nan"),
        (RetryPolicy(backoff_s=(float("inf"),)), "has inf"), (RetryPolicy(backoff_s=(-1.0,)), "has -1.0"),
        (RetryPolicy(max_attempts=0), "max_attempts is 0"),
    ],
)  # fmt: skip
def test_a_retry_policy_that_cannot_be_followed_is_refused(policy: RetryPolicy, says: str) -> None:
    """Each failure would be left to the end of its lease."""
    with pytest.raises(InvalidPlan, match=f"summarize: .*{says}"):
        registry.add_job_type(replace(job_type(), retry=policy))


def test_a_package_adds_a_worker_class_for_its_own_job_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "worker_classes", dict(registry.worker_classes))
    assert registry.add_worker_class("crm", scopes={"crm:write"}) == "crm"
    registry.add_worker_class("crm", scopes=["crm:write"])

    registry.add_job_type(job_type(queue="crm", scopes={"crm:write"}))

    with pytest.raises(InvalidPlan, match=r"crm does not hold mail:send"):
        registry.add_job_type(job_type(queue="crm", scopes={"mail:send"}))


@pytest.mark.parametrize(
    ("name", "scopes", "says"),
    [
        ("Crm", {"crm:write"}, "no name of a worker class"),
        ("a" * 51, {"crm:write"}, "no name of a worker class"),
        ("send", {"crm:write"}, "already, with other scopes"),
        ("writer", {"model:call", "mail:send"}, r"call models and send \(mail:send\)"),
        ("writer", {"model:embed", "mail:send"}, "call models and send"),
        ("writer", {"model:call", "webhooks:send"}, "call models and send"),
        ("writer", {"model:call", "http:send"}, "call models and send"),
        ("writer", {"model:call", "crm:write", "sms:send"}, r"\(crm:write, sms:send\)"),
    ],
)
def test_a_worker_class_that_would_be_trouble_is_refused(name: str, scopes: set[str], says: str) -> None:
    with pytest.raises(InvalidPlan, match=says):
        registry.add_worker_class(name, scopes=scopes)


def test_an_unknown_name_says_where_to_look() -> None:
    with pytest.raises(InvalidPlan, match=r"no job type nowhere.*AGENTAPP_EXTENSIONS"):
        registry.job_type("nowhere")


def test_a_new_run_takes_the_newest_version_of_a_kind() -> None:
    for kind, version in (("report", 1), ("report", 3), ("report", 2), ("other", 9)):
        registry.add_flow(Flow(kind=kind, version=version, input=Nothing, stages=()))

    newest = registry.latest_flow("report")

    assert newest is not None
    assert newest.version == 3
    assert registry.latest_flow("unknown") is None
    assert registry.kinds() == ["other", "report"]
