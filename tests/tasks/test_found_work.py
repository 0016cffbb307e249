"""A fan-out whose parts find more work: the example of docs/howto/add_a_workflow_kind.md. [C3]"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentapp import flows, registry
from agentapp.errors import PermanentError, TransientError
from agentapp.models import Job
from agentapp.services.principals import Principal
from tasks.apps import load
from tests.harness import drain, histories_are_legal, make_due, run_workflow
from tests.structure.markdown import page
from tests.structure.source import ROOT

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning"),
]

# Each page and its links; they lead in circles, to pages that nobody has read and to some that were.
LINKS = {"a": ["b", "c", "b"], "b": ["a", "d"], "c": ["d", "e", "c"], "d": [], "e": ["f"], "f": ["a"]}


@dataclass
class Site:
    """What the example asks: it fails as often as it is told to."""

    failures: dict[str, list[Exception]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def fetch(self, url: str) -> types.SimpleNamespace:
        self.fetched.append(url)
        if self.failures.get(url):
            raise self.failures[url].pop()
        return types.SimpleNamespace(title=url.upper(), links=LINKS[url])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The example is loaded, as from a package of somebody's own."""
    example = next(
        block for block in page(ROOT / "docs/howto/add_a_workflow_kind.md").blocks("python") if "read_site" in block
    )
    (tmp_path / "finding").mkdir()
    (tmp_path / "finding" / "__init__.py").write_text(example)
    asked = Site()
    package = types.ModuleType("my_company")
    package.site = asked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_company", package)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "job_types", dict(registry.job_types))
    monkeypatch.setattr(registry, "flows", dict(registry.flows))
    load("finding")
    yield asked
    del sys.modules["finding"]


def test_each_page_that_is_found_is_read_once_in_the_order_in_which_it_was_found(
    site: Site, principal: Principal
) -> None:
    flow = registry.latest_flow("read_site")
    assert flow is not None and flows.check(flow) == []
    task = run_workflow(principal, "read_site", {"start": "a"})

    assert site.fetched == ["a", "b", "c", "d", "e", "f"]
    assert task.result == {"titles": {name: name.upper() for name in LINKS}, "is_complete": True}
    assert histories_are_legal()


def test_a_maximum_ends_the_search_and_the_result_says_so(site: Site, principal: Principal) -> None:
    task = run_workflow(principal, "read_site", {"start": "a", "most": 2})

    assert site.fetched == ["a", "b"]
    assert task.result == {"titles": {"a": "A", "b": "B"}, "is_complete": False}


def test_a_part_that_runs_again_adds_nothing_twice_and_one_that_fails_is_left_out(
    site: Site, principal: Principal, clock
) -> None:
    site.failures = {"b": [TransientError("busy", retry_after_s=None)], "c": [PermanentError("gone")]}
    task = run_workflow(principal, "read_site", {"start": "a"})
    make_due(clock, 3_600)
    drain(task)
    task.refresh_from_db()

    # c alone leads to e and f.
    assert task.state == "completed"
    assert task.result == {"titles": {"a": "A", "b": "B", "d": "D"}, "is_complete": True}
    parts = Job.objects.filter(workflow=task, type="read_page").order_by("stage__position", "part")
    assert list(parts.values_list("payload__url", "state", "attempt")) == [
        ("a", "completed", 1), ("b", "completed", 2), ("c", "dead_lettered", 1), ("d", "completed", 1),
    ]  # fmt: skip
