"""The waterfall: what is drawn, and that a run of many jobs stays quick to show."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agentapp.admin import cells, plan, spans, timeline, timescale
from agentapp.clock import Clock
from agentapp.lifecycle import gates
from agentapp.models import Gate, GateChange, History, Job, Tenant
from agentapp.services import approvals, dead_letters, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests import harness
from tests.admin.conftest import Start
from tests.lifecycle import looping_kinds as looping_kinds

pytestmark = pytest.mark.django_db


def test_a_run_shows_queueing_running_and_the_wait_for_a_person(start: Start, principal: Principal) -> None:
    run = start()
    approval = run.approvals.get()
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    harness.drain()

    drawn = timeline.draw(run)

    assert drawn is not None
    assert [band.name for band in drawn.bands] == ["sample_lookup", "sample_draft", "approval", "sample_send"]
    assert drawn.bands[0].note == "3 parts"
    assert {bar.kind for bar in drawn.bars} == {"queued", "running", "running effect", "person"}


def test_a_long_name_of_a_stage_stays_beside_the_plot_and_above_its_lines() -> None:
    band = timeline.Band(26, 26, "look_up_everything_about_the_customer", "", odd=True)
    drawn = timeline.Timeline(bands=[band], ticks=[timeline.Mark(timeline.LABEL_PX, "0 s")])
    text = render_to_string("agentapp/timeline.html", {"timeline": drawn})

    assert f">{band.name[:27]}…<title>{band.name}</title>" in text
    assert text.index('class="stage odd"') > text.index('class="tick"')


def test_a_stage_that_was_skipped_says_so(principal: Principal, admin_client: Client) -> None:
    run = harness.run_workflow(principal, "loop_branch", {"first": "right"})

    drawn = timeline.draw(run)

    assert drawn is not None
    assert [band.name for band in drawn.bands] == [
        "left, skipped", "loop_tool, skipped", "approval, skipped", "right", "last"
    ]  # fmt: skip
    page = admin_client.get(f"/admin/agentapp/workflow/{run.pk}/change/").content.decode()
    assert "1. left, skipped" in page and "3. approval, skipped" in page and "4. right" in page


def test_the_plan_names_the_stages_that_are_still_to_come(start: Start, principal: Principal, member: Client) -> None:
    run = start()

    def steps() -> list[str]:
        run.refresh_from_db()
        return [f"{step.name}: {step.state}" for step in plan.of(run)]

    assert steps() == ["sample_lookup: done", "sample_draft: done", "approval: open", "sample_send: to come"]
    page = member.get(f"/admin/agentapp/workflow/{run.pk}/change/").content.decode()
    listed = page.partition('<section id="plan">')[2].partition("</section>")[0]
    assert "sample_lookup, in parts" in listed and "approval, a person decides" in listed and "to come" in listed
    workflows.cancel(principal, run.pk, reason="not needed")
    assert steps()[2:] == ["approval: ended here", "sample_send: not reached"]
    left = harness.run_workflow(principal, "loop_branch", {"first": "right"})
    assert [step.state for step in plan.of(left)] == ["skipped", "skipped", "skipped", "done", "done"]


def test_a_failure_and_its_wait_for_a_person_are_told_apart(dead: Job, principal: Principal) -> None:
    dead_letters.replay(principal, dead.pk, payload=(dead.payload or {}) | {"body": "Now it can be done."})
    harness.drain()

    track = next(track for track in spans.tracks_of(dead.workflow) if track.label.startswith("sample_draft"))

    # It failed where the step before had been done, in place: it has waited for no worker.
    assert [span.kind for span in track.spans] == ["failed", "person", "queued", "running"]
    assert "permanent" in track.spans[0].words


def test_a_wait_for_a_gate_is_told_apart_from_one_for_a_worker(start: Start, principal: Principal) -> None:
    run = start()
    gates.keep(Gate(scope="job_type", pattern="sample_send", concurrency=0), actor="test")
    approval = run.approvals.get()
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    harness.drain()

    track = next(track for track in spans.tracks_of(run) if track.label.startswith("sample_send"))
    drawn = timeline.draw(run)

    assert [span.kind for span in track.spans] == ["queued", "gate"]
    assert track.spans[1].words == "waited for a gate: job type sample_send"
    assert drawn is not None
    assert "gate" in {bar.kind for bar in drawn.bars} and "gate" in dict(drawn.legend)


def test_a_pause_and_an_open_breaker_are_no_wait_for_a_worker(
    start: Start, principal: Principal, other_tenant: Tenant, clock: Clock
) -> None:
    run = start()
    approval = run.approvals.get()

    def stop(key: str, action: str) -> None:
        clock.advance(10)
        GateChange.objects.create(at=clock.now(), actor="test", action=action, target=key)

    stop(f"tenant:{other_tenant.pk}", "paused")
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    for action in ("paused", "breaker open", "open", "breaker open"):
        stop("job_type:sample_send", action)
    clock.advance(5)

    track = next(track for track in spans.tracks_of(run) if track.label.startswith("sample_send"))

    found = [(span.kind, span.end_s - span.start_s) for span in track.spans]
    assert found == [("queued", 10), ("gate", 20), ("queued", 10), ("gate", 5)]
    assert track.spans[1].words == "waited for a gate: job type sample_send paused"
    assert track.spans[3].words == "waited for a gate: job type sample_send failed too often"


def test_what_waits_behind_a_paused_key_is_drawn_so_while_it_waits(start: Start, principal: Principal) -> None:
    run = start()
    gates.know(["job_type:sample_send"])
    gates.set_mode("job_type:sample_send", KeyMode.PAUSED, actor="test", reason="")
    approval = run.approvals.get()
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)

    track = next(track for track in spans.tracks_of(run) if track.label.startswith("sample_send"))

    assert {span.kind for span in track.spans} == {"gate"}


def test_a_task_without_any_work_yet_is_drawn_as_waiting(principal: Principal, clock: Clock) -> None:
    run = workflows.submit(principal, kind="sample_reply", input={})
    clock.advance(5)

    drawn = timeline.draw(workflows.get(principal, run.pk))

    assert drawn is not None
    assert {bar.kind for bar in drawn.bars} == {"queued"}


def test_the_axis_says_nothing_twice() -> None:
    axis = timescale.scale([(0, 0.3), (200, 200.3)], end_s=200.3, width=900)
    assert len({cells.duration(moment) for moment in axis.ticks()}) < len(axis.ticks())

    words = [mark.text for mark in timeline._ticks(axis)]

    assert len(set(words)) == len(words) and words[0] == "0 ms" and words[-1] == "3 min 20 s"


def test_a_fan_out_of_many_parts_shares_lanes_and_says_so(start: Start) -> None:
    drawn = timeline.draw(start(parts=list(range(40))))

    assert drawn is not None
    lookup = [bar for bar in drawn.bars if bar.y < drawn.bands[0].y + drawn.bands[0].height]
    assert len({bar.y + bar.height / 2 for bar in lookup}) <= timeline.WIDTH / 50
    assert drawn.bands[0].note.startswith("40 parts")


def test_of_a_very_wide_stage_the_first_parts_are_read_and_drawn(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MOST_PARTS", 10)
    run = start(parts=list(range(40)))
    read: list[int] = []

    def counted(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        read.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(counted):
        drawn = timeline.draw(run)

    assert drawn is not None
    assert History.objects.filter(workflow=run).count() > 100
    assert max(read) < 50
    assert [band.note.partition(",")[0] for band in drawn.bands] == ["the first 10 parts", "", ""]
    assert drawn.summary.startswith("42 steps")


def test_a_page_of_four_hundred_jobs_costs_no_query_per_job(
    operator: Client, principal: Principal, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = workflows.submit(principal, kind="sample_reply", input={"parts": list(range(400))})

    with django_assert_max_num_queries(40):
        page = operator.get(f"/admin/agentapp/workflow/{run.pk}/change/")

    assert page.status_code == 200
    assert page.content.count(b'<tr id="job-') == 50
    assert b"?jobs=2#jobs" in page.content
    assert History.objects.filter(workflow=run).count() > 400
    assert len(page.context["history"]) == 50 and b"?history=2#history" in page.content
    assert len(page.content) < 400_000
