"""research_report: many searches in parallel, an answer that cites them, and what is not known is said. [C4]"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentapp.clock import Clock
from agentapp.errors import InvalidInput, PermanentError, TimedOut
from agentapp.models import Job, Tenant, Workflow
from agentapp.retrieval import in_time, research, sources
from agentapp.retrieval.passages import Found, Passage
from agentapp.retrieval.sources import Source
from agentapp.runtime import runner
from agentapp.services import api_keys, dead_letters, documents, principals, workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, histories_are_legal, make_due, run_workflow
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
Add = Callable[..., None]
TEXTS = {
    "doors.md": ("rules", "The front door of the sample building is locked at ten in the evening."),
    "pets.md": ("rules", "Small pets may stay in the rooms of the sample building."),
    "parking.md": ("plans", "A parking place costs five sample coins for each day."),
}


@pytest.fixture
def library(principal: Principal, provider: OfflineModel) -> OfflineModel:
    for source, (collection, text) in TEXTS.items():
        documents.load(principal, source=source, title=source, text=text, collection=collection)
    return provider


@pytest.fixture
def add_source() -> Iterator[Add]:
    """Register a source as an extension does; it is gone after the test."""
    added: list[str] = []

    def add(name: str, search: Any, **more: Any) -> None:
        sources.add(Source(name, "a source of the test", search, **more))
        added.append(name)

    yield add
    for name in added:
        del sources._sources[name]


def run(principal: Principal, question: str, **input: Any) -> Workflow:
    return run_workflow(principal, "research_report", {"question": question, **input})


def result(task: Workflow) -> Json:
    assert isinstance(task.result, dict), list(Job.objects.exclude(error=None).values_list("type", "error"))
    return task.result


def test_a_question_is_answered_from_several_collections_with_citations(
    principal: Principal, library: OfflineModel
) -> None:
    question = "When is the front door locked? What does a parking place cost?"
    task = run(principal, question, collections=["rules", "plans"])

    told = result(task)
    assert (told["outcome"], told["tainted"], told["unanswered"]) == ("answered", True, [])
    assert {citation["title"] for citation in told["citations"]} == {"doors.md", "parking.md"}
    assert "locked at ten" in told["answer"] and "five sample coins" in told["answer"]
    assert told["queries"] == [question, "When is the front door locked", "What does a parking place cost"]
    # Two collections of documents, and the replies, which have none: each query at each.
    assert Job.objects.filter(workflow=task, type="search_source", state="completed").count() == 9
    assert [(one["source"], one["collection"], one["searches"]) for one in told["sources"]] == [
        ("documents", "rules", 3), ("documents", "plans", 3), ("approved_replies", "", 3),
    ]  # fmt: skip
    assert told["score"] >= 0.7
    assert histories_are_legal()


def test_what_no_source_knows_is_said_without_asking_a_model_and_scores_nothing(
    principal: Principal, provider: OfflineModel
) -> None:
    task = run(principal, "Who won the sample race?")

    told = result(task)
    assert (told["outcome"], told["score"], told["citations"]) == ("unknown", 0.0, [])
    assert told["answer"].startswith("This is not known") and told["unanswered"] == ["Who won the sample race?"]
    asked = [request for request in provider.requests() if request["path"].endswith("/chat/completions")]
    assert len(asked) == 1


def test_an_answer_that_cites_nothing_scores_nothing(principal: Principal, library: OfflineModel) -> None:
    told = result(run(principal, "Which wages does a xylophonist earn in Zanzibar?"))

    assert (told["outcome"], told["score"], told["critique"]) == ("unknown", 0.0, "The answer rests on no source.")


def test_a_slow_source_is_left_out_after_its_own_time_and_said_so(
    principal: Principal, library: OfflineModel, add_source: Add, clock: Clock
) -> None:
    may_answer = threading.Event()

    def slow(tenant_id: int, query: str, **more: Any) -> Found:
        may_answer.wait()
        return Found([], "full_text")

    add_source("slow", slow, timeout_s=0.05)
    try:
        task = run(principal, "When is the front door locked?", max_queries=1)
        make_due(clock, 60)
        drain(task)
    finally:
        may_answer.set()
    task.refresh_from_db()
    told = result(task)
    assert (task.state, told["outcome"]) == ("completed", "answered")
    (shown,) = [one for one in told["sources"] if one["source"] == "slow"]
    assert (shown["searches"], shown["failed"], shown["passages"]) == (1, 1, 0)
    assert shown["reasons"] == ["The source slow did not answer within 0.05 seconds."]


def test_a_source_that_fails_is_left_out_and_said_so(
    principal: Principal, library: OfflineModel, add_source: Add
) -> None:
    def broken(tenant_id: int, query: str, **more: Any) -> Found:
        raise PermanentError("The sample archive is closed.")

    add_source("broken", broken)
    told = result(run(principal, "When is the front door locked?", max_queries=1))

    assert told["outcome"] == "answered"
    (shown,) = [one for one in told["sources"] if one["source"] == "broken"]
    assert (shown["failed"], shown["reasons"]) == (1, ["The sample archive is closed."])


HIT = Passage("1", "odd", "Doors", "", "The front door is locked at eleven.", 1.0)


@pytest.mark.parametrize(
    ("found", "is_found"),
    [
        (replace(HIT, text="The front door \0 is locked.", title="a\0", url="b\0"), True),
        (replace(HIT, text="The front door \ud800 is locked.", score=float("nan")), True),
        (replace(HIT, text="front door " * 100_000, title="t" * 100_000), True),
        (replace(HIT, title=None, id=7), True),  # type: ignore[arg-type]
        (replace(HIT, text=5), False),  # type: ignore[arg-type]
        (replace(HIT, text=["x"]), False),  # type: ignore[arg-type]
        ("no passage", False),
    ],
)  # fmt: skip
def test_what_a_source_answers_is_brought_into_bounds_or_left_out(
    principal: Principal, library: OfflineModel, add_source: Add, found: Any, is_found: bool
) -> None:
    add_source("odd", lambda *args, **more: Found([found] * 1_000, "full_text"))
    told = result(run(principal, "When is the front door locked?", max_queries=1))

    (shown,) = [one for one in told["sources"] if one["source"] == "odd"]
    assert (told["outcome"], shown["failed"]) == ("answered", 0 if is_found else 1)
    assert shown["passages"] == (5 if is_found else 0)
    assert all(len(str(request["body"])) < 40_000 for request in library.requests())


def test_a_search_that_a_person_finishes_by_hand_needs_no_passages(
    principal: Principal, library: OfflineModel, add_source: Add
) -> None:
    add_source("odd", lambda *args, **more: "no passages")
    question = {"question": "When is the front door locked?", "max_queries": 1}
    task = workflows.submit(principal, kind="research_report", input=question)
    be_a_worker("model", "retrieval")
    runner.run(str(Job.objects.get(workflow=task, state="available").pk))
    letter = Job.objects.get(workflow=task, payload__search__source="odd")
    runner.run(str(letter.pk))
    dead_letters.resolve(principal, letter.pk, output={}, reason="nothing is there")
    drain(task)
    task.refresh_from_db()

    assert result(task)["outcome"] == "answered"


def test_a_key_that_loses_its_permission_is_shown_nothing_more(
    principal: Principal, tenant: Tenant, library: OfflineModel
) -> None:
    key, _ = api_keys.create(tenant=tenant, name="some", scopes=["tasks:read", "tasks:write", "documents:read"])
    task = workflows.submit(principals.of_key(key), kind="research_report", input={"question": "Is the door locked?"})
    be_a_worker("model")
    runner.run(str(Job.objects.get(workflow=task, state="available").pk))
    key.scopes = ["tasks:read", "tasks:write"]
    key.save()
    drain(task)
    task.refresh_from_db()

    assert (result(task)["outcome"], result(task)["citations"]) == ("unknown", [])
    assert all("does not hold the scope documents:read" in one["reasons"][0] for one in result(task)["sources"])


def test_a_source_of_an_extension_is_searched_and_cited(
    principal: Principal, library: OfflineModel, add_source: Add
) -> None:
    def archive(tenant_id: int, query: str, **more: Any) -> Found:
        text = "The sample tower was built of red bricks."
        return Found([Passage("1", "archive", "Towers", "", text, 1.0, "https://archive.example/1")], "full_text")

    add_source("archive", archive)
    told = result(run(principal, "What was the sample tower built of?", sources=["archive"]))

    (citation,) = told["citations"]
    assert (citation["source"], citation["url"]) == ("archive", "https://archive.example/1")
    assert {one["source"] for one in told["sources"]} == {"archive"}


def test_no_source_gives_texts_of_another_tenant(other_principal: Principal, library: OfflineModel) -> None:
    assert result(run(other_principal, "When is the front door locked?"))["outcome"] == "unknown"


def test_a_key_that_may_read_no_documents_gets_no_answer(tenant: Tenant, library: OfflineModel) -> None:
    key, _ = api_keys.create(tenant=tenant, name="tasks", scopes=["tasks:read", "tasks:write"])
    task = run(principals.of_key(key), "When is the front door locked?")

    (letter,) = Job.objects.filter(workflow=task, state="dead_lettered")
    assert (letter.type, (letter.error or {})["kind"]) == ("plan_research", "permission")


@pytest.mark.parametrize("input", [{}, {"question": " "}, {"question": "a", "sources": ["nowhere"]},
                                   {"question": "a", "max_queries": 9}])  # fmt: skip
def test_an_input_that_asks_nothing_or_nowhere_is_refused(principal: Principal, input: Json) -> None:
    with pytest.raises(InvalidInput):
        run_workflow(principal, "research_report", input)


def test_a_source_that_hangs_is_not_asked_more_than_a_few_times() -> None:
    may_answer, asked = threading.Event(), []

    def hang() -> Found:
        asked.append(1)
        may_answer.wait()
        return Found([], "full_text")

    source = Source("hangs", "", lambda *args, **more: Found([], "full_text"), timeout_s=0.01)
    try:
        for _ in range(in_time.MOST_LEFT_BEHIND + 3):
            with pytest.raises(TimedOut):
                in_time.find(source, hang, most_s=10)
    finally:
        may_answer.set()
    for thread in in_time._left_behind["hangs"]:
        thread.join(timeout=60)
    assert len(asked) == in_time.MOST_LEFT_BEHIND
    assert in_time.find(source, lambda: Found([], "fused"), most_s=10).mode == "fused"


def test_searches_are_bounded_and_the_question_is_searched_for_first() -> None:
    asked = research.queries("Why?", ["a", "b  b", "a", "", "c"], most=4)
    assert asked == ["Why?", "a", "b b", "c"]
    kept = [sources.by_name("documents"), sources.by_name("approved_replies")]
    planned = research.searches(asked, kept, [f"collection {n}" for n in range(40)])

    assert len(planned) == 82 <= research.MOST_SEARCHES
    assert [one.query for one in planned[::41]] == ["Why?", "a"]
