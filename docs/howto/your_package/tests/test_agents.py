"""Each part of the package, run as a worker runs it."""

from agentapp.retrieval import sources
from agentapp.testing import call
from agentapp.testing.platform import Platform

from my_company import crm


def test_a_text_is_translated_into_each_language(platform: Platform) -> None:
    task = platform.run("translations", {"text": "Good morning.", "languages": ["German", "French"]})

    assert task.state == "completed", task.why
    assert [job.payload["language"] for job in task.of_type("translate_text")] == ["German", "French"]
    assert all(platform.text(part["text_id"]) for part in task.result["translations"])


def test_a_model_that_is_busy_is_asked_again(platform: Platform) -> None:
    platform.model.fail("status", status=503, times=1)
    task = platform.run_job("translate_text", text="Good morning.")
    assert task.job.state == "retryable", task.why

    task = platform.later(task, seconds=60)
    assert (task.job.state, task.job.attempt) == ("completed", 2), task.why


def test_an_agent_is_told_the_state_of_an_order(platform: Platform) -> None:
    task = platform.run_agent([call("order_state", order=17)], [call("order_state", order=4)], "It is on its way.")

    assert task.result["answer"] == "It is on its way.", task.why
    assert [(one.status, one.text) for one in task.tool_results] == [
        ("ok", "Order 17 is on its way."),
        ("error", "Error: There is no order 4."),
    ]


def test_a_note_is_written_once(platform: Platform) -> None:
    task = platform.run_job("note_in_crm", customer="ada@example.org", note="answered")

    assert task.output == {"note_id": "1"}
    assert list(crm.notes.values()) == ["ada@example.org: answered"]


def test_the_source_finds_when_we_are_open(platform: Platform) -> None:
    found = sources.by_name("opening_hours").search(
        platform.tenant_id, "When are you open?", limit=3, embed=platform.embed
    )

    assert [passage.text for passage in found.passages] == ["Monday to Friday."]
