"""The documentation says what the code does: generated pages, links, names, and examples that run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command, get_commands
from pydantic import BaseModel

from agentapp import registry
from agentapp.api.problems import KINDS
from agentapp.flows import Flow, Step
from agentapp.local import procfile
from agentapp.local.demo import QUESTIONS
from agentapp.management.commands import write_docs
from agentapp.models import Effect
from agentapp.observability import metrics
from agentapp.offline_model import questions
from agentapp.offline_model.sections import Passage
from agentapp.policies.permissions import API_SCOPES
from agentapp.retrieval import chunking, sources
from agentapp.runtime import runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.tools import registry as tools_registry
from config.setting import SETTINGS
from tasks.apps import load
from tests import harness
from tests.structure.markdown import Page, page, pages
from tests.structure.source import ROOT

PAGES = pages()
HOWTO = ROOT / "docs" / "howto"
API = page(ROOT / "docs" / "api.md")
TEMPLATE = HOWTO / "your_package"
# Which page shows a file of the template, and as its which block of Python.
SHOWN = {
    "my_company/agents/translate_text.py": ("add_a_job_type", 0),
    "my_company/agents/translations.py": ("add_a_workflow_kind", 0),
    "my_company/agents/order_state.py": ("add_a_tool", 0),
    "tests/test_agents.py": ("use_your_own_package", 0),
    "my_company/agents/opening_hours.py": ("use_your_own_package", 1),
    "my_company/agents/note_in_crm.py": ("use_your_own_package", 2),
}
# What an example makes, and what is no setting.
EXAMPLES = {
    "agentapp/lifecycle/retry_now.py",
    "agentapp/lifecycle/sql/07_retry_now.sql",
    "prompts/x.txt",
    "tasks/flows/translations.py",
    "tasks/translate_text.py",
    "tests/lifecycle/test_retry_now.py",
    "my_company/agents/refund_order.py",
}
COMMAND = re.compile(r"\bcurl\b|\bmanage\.py\b|\bmake [a-z]|\bpython -m (?:bench|config)\b|\bpip install\b")
# Blocks that are shown as `text` though commands of ours are in them, and why nothing can run them beside the others.
NOT_RUN = {
    "docs/compatibility.md": (1, "installs 800 MB"),
    "docs/howto/add_a_state_move.md": (1, "tests/lifecycle/test_worked_example.py runs this page on a copy"),
    "docs/howto/add_a_workflow_kind.md": (1, "needs its files in the stack; tests run the flow without one"),
    "docs/howto/ask_a_person.md": (2, "needs a package in the stack; tests/runtime run it without one"),
    "docs/howto/broker_users.md": (4, "takes the rights of the user that the stack of the other pages has"),
    "docs/howto/choose_models.md": (1, "starts a stack, with a key of a provider"),
    "docs/howto/deploy.md": (2, "Docker, and a machine with systemd"),
    "docs/howto/fix_a_dead_letter.md": (1, "needs a dead letter, which the page does not make"),
    "docs/howto/least_privilege.md": (3, "changes the roles of the stack of the other pages"),
    "docs/howto/postgres_in_production.md": (1, "needs a replica that was promoted"),
    "docs/howto/receive_webhooks.md": (2, "ends a secret that is shown once; and a receiver outside"),
    "docs/howto/run_in_production.md": (2, "installs packages, and changes the checkout"),
    "docs/howto/traces.md": (1, "installs packages"),
    "docs/howto/use_an_agent_framework.md": (1, "installs packages"),
    "docs/howto/use_mcp_tools.md": (1, "starts a stack, with a key of a tool server"),
    "docs/howto/use_your_own_package.md": (1, "a line of a Procfile"),
    "docs/howto/verify_the_audit.md": (1, "the head is that of another installation"),
    "docs/runbooks.md": (1, "restores a dump"),
    "docs/scaling.md": (1, "takes minutes"),
}
_REQUIRED = re.compile(r"AGENTAPP_REQUIRE_[A-Z_]+")
# What CI says that no test may be skipped for.
REQUIRED = set(_REQUIRED.findall((ROOT / ".ci" / "run").read_text()))
NOT_SETTINGS = {
    *REQUIRED,
    "AGENTAPP_TEST_BROKER",
    "AGENTAPP_TEST_DATABASE_URL",
    "AGENTAPP_TEST_POOLER",
    "AGENTAPP_TEST_REDIS_URL",
    "DJANGO_SUPERUSER_PASSWORD",
}
# A group of Postgres, the key of a package, and what a decision says that there is no more.
NOT_METRICS = {"agentapp_by_tenant", "agentapp_extensions", "agentapp_settle_v1"}


class NoteInput(BaseModel):
    """A note about a customer."""

    customer: str
    note: str


def test_generated_pages_are_current() -> None:
    stale = [name for name, text in write_docs.pages().items() if not write_docs.is_current(ROOT / "docs" / name, text)]

    assert not stale, f"{stale}: run manage.py write_docs"


def test_a_page_that_is_out_of_date_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"states\.md, settings\.md, openapi\.json"):
        call_command("write_docs", "--check", "--folder", tmp_path)

    call_command("write_docs", "--folder", tmp_path, stdout=StringIO())
    call_command("write_docs", "--check", "--folder", tmp_path, stdout=StringIO())


def test_the_settings_page_names_every_setting_and_no_place_of_this_machine() -> None:
    text = write_docs.settings_page(SETTINGS)

    assert all(f"| `{setting.name}` |" in text for setting in SETTINGS)
    assert str(ROOT) not in text


@pytest.mark.parametrize("each", PAGES, ids=lambda each: each.path)
def test_links_lead_somewhere(each: Page) -> None:
    for link in each.links:
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / each.path).parent / target if target else ROOT / each.path
        assert path.exists(), f"{each.path}: {link}"
        if anchor:
            assert anchor in page(path.resolve()).anchors, f"{each.path}: {link}"


@pytest.mark.parametrize("each", PAGES, ids=lambda each: each.path)
def test_commands_files_and_settings_that_are_named_exist(each: Page) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shell = "\n".join([*each.inline_code, *each.blocks("sh")])
    known = {setting.name for setting in SETTINGS} | NOT_SETTINGS

    assert set(re.findall(r"manage\.py ([a-z_]+)", shell)) <= set(get_commands())
    assert set(re.findall(r"^(?:\w+=\S+ )*make ([a-z]+)", shell, re.MULTILINE)) <= targets
    assert set(re.findall(r"\b(?:AGENTAPP|DJANGO)_[A-Z_]+\b", each.text)) <= known
    for name in each.inline_code:
        if re.fullmatch(r"[\w./-]+(\.(py|sql|toml)|/)", name) and "/" in name and not name.startswith((".", "/")):
            places = [ROOT / name, ROOT / "agentapp" / name, ROOT / "docs" / name]
            assert name in EXAMPLES or any(place.exists() for place in places), f"{each.path}: {name}"


def test_commands_of_ours_that_nothing_runs_are_known() -> None:
    """A block in the language `sh` is run (tests/acceptance/test_documentation.py); `text` is for what cannot be."""
    found = {each.path: sum(bool(COMMAND.search(block)) for block in each.blocks("text")) for each in PAGES}

    assert {path: number for path, number in found.items() if number} == {
        path: number for path, (number, _) in NOT_RUN.items()
    }


def test_ci_skips_no_test_that_can_be_required() -> None:
    asked = {name for path in (ROOT / "tests").rglob("*.py") for name in _REQUIRED.findall(path.read_text())}

    assert asked == REQUIRED
    assert set(_REQUIRED.findall((ROOT / "CONTRIBUTING.md").read_text())) == REQUIRED


def test_metrics_that_are_named_exist() -> None:
    recorded = set(re.findall(r"record: (\S+)", (ROOT / "deploy/prometheus/agentapp.rules.yml").read_text()))
    exposed = {name for metric in metrics.CATALOGUE.values() for name in (metric.name, *metrics.series(metric))}
    tables = {model._meta.db_table for model in apps.get_models()}
    users = {f"agentapp_{name}" for name in (*procfile.read(ROOT / "Procfile"), "readonly")}
    known = exposed | recorded | tables | users | NOT_METRICS

    # With one colon it is a user and a password.
    names = re.compile(r"\bagentapp(?:_\w+|:\w+:\w+)")
    assert {(each.path, name) for each in PAGES for name in names.findall(each.text) if name not in known} == set()


def test_python_examples_can_be_read() -> None:
    for each in PAGES:
        for block in each.blocks("python"):
            compile(block, each.path, "exec")
        for block in each.blocks("json"):
            json.loads(block)


def test_the_api_page_lists_every_kind_of_problem_and_every_scope() -> None:
    documented = {cells[0].strip("`"): int(cells[1]) for cells in API.rows("Errors")}

    assert documented == {slug: kind.status for slug, kind in KINDS.items()}
    assert [scope for scope in API_SCOPES if f"`{scope}`" not in API.text.split("## Scopes")[1]] == []


@pytest.mark.parametrize("path", ["README.md", "docs/howto/run_in_production.md"])
def test_every_process_is_described(path: str) -> None:
    processes = re.findall(r"^([a-z_]+):", (ROOT / "Procfile").read_text(), re.MULTILINE)
    described = re.findall(r"^\| `([a-z_]+)` \|", page(ROOT / path).text, re.MULTILINE)

    assert set(described) == set(processes)


def test_decisions_are_numbered_and_say_context_choice_and_consequence() -> None:
    decisions = [each for each in PAGES if each.path.startswith("docs/decisions/")]

    assert decisions
    for number, each in enumerate(decisions, start=1):
        assert Path(each.path).name.startswith(f"{number:04d}-")
        assert each.text.startswith(f"# {number:04d}: ")
        assert re.findall(r"^\*\*(\w+)\.\*\*", each.text, re.MULTILINE) == ["Context", "Choice", "Consequence"]
        assert each.text.count("\n") <= 16


ANSWERS = {
    0: "docs/architecture.md",
    1: "docs/howto/run_in_production.md",
    2: "docs/howto/add_a_job_type.md",
    3: "docs/howto/fix_a_dead_letter.md",
}


@pytest.mark.parametrize(("number", "path"), ANSWERS.items())
def test_the_documentation_answers_the_questions_of_the_demo(number: int, path: str) -> None:
    """Among all passages, the sentence that is closest to a question stands on the page that answers it."""
    passages = [
        Passage(id=each.path, title=piece.heading, text=piece.text)
        for each in PAGES
        if each.path.startswith("docs/")
        for piece in chunking.chunk(each.text, title=chunking.first_heading(each.text))
    ]
    question = QUESTIONS[number]

    closest = [questions.hits(part, passages, context=question)[0] for part in questions.parts(question)]

    assert max(closest, key=lambda hit: hit.closeness).passage.id == path


@pytest.mark.parametrize("name", SHOWN)
def test_pages_show_the_files_of_the_template(name: str) -> None:
    """Its tests are run, and its wheel is built, by the page itself: see tests/acceptance/test_documentation.py."""
    howto, number = SHOWN[name]

    assert (TEMPLATE / name).read_text() == page(HOWTO / f"{howto}.md").blocks("python")[number]


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.syspath_prepend(str(TEMPLATE))
    monkeypatch.setattr(registry, "job_types", dict(registry.job_types))
    monkeypatch.setattr(registry, "flows", dict(registry.flows))
    monkeypatch.setattr(registry, "worker_classes", dict(registry.worker_classes))
    monkeypatch.setattr(sources, "_sources", dict(sources._sources))
    monkeypatch.setattr(tools_registry, "_tools", dict(tools_registry._tools))
    load("my_company.agents")
    yield "my_company.agents"
    for name in [name for name in sys.modules if name.startswith("my_company")]:
        del sys.modules[name]


@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
def test_the_example_of_a_worker_class_runs_in_its_own_process_alone(template: str, principal: Principal) -> None:
    registry.add_flow(
        Flow(
            kind="crm_note", version=1, input=NoteInput,
            stages=(Step("note_in_crm", bind={"customer": "input.customer", "note": "input.note"}),),
            result={"note": "note_in_crm.note_id"},
        )
    )  # fmt: skip
    task = workflows.submit(principal, kind="crm_note", input={"customer": "sample", "note": "answered"})
    job = task.jobs.get()
    for queue in ("model", "send", "crm"):
        assert task.jobs.get().state == "available"
        harness.be_a_worker(queue)
        runner.run(str(job.pk))
    task.refresh_from_db()
    assert (task.state, task.result) == ("completed", {"note": "1"})
    assert Effect.objects.filter(type="crm_note", state="confirmed").count() == 1


def test_the_readme_shows_the_job_type_of_the_how_to() -> None:
    readme, howto = page(ROOT / "README.md"), page(HOWTO / "add_a_job_type.md")

    assert readme.blocks("python")[0] == howto.blocks("python")[0]
