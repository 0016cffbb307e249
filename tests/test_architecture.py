"""The platform rules that a machine can check: layers, one door per state, small files. Each is also shown to fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure import backlogs, contexts, doors, drivers, layers, locks, numbers, pages, size, sweeps
from tests.structure.source import ROOT, Module, Violation, modules

# From the bottom up; imports go down or stay. Parts of one line may use each other.
LAYERS = (
    frozenset({"client"}),  # of the API over HTTP: it knows nothing of the rest
    frozenset({"errors", "clock", "conf", "states", "ids"}),  # words, legal moves as data; no I/O
    frozenset({"failpoints", "redaction", "secret_forms", "secret_refs"}),  # where a test may kill the process; secrets
    frozenset({"policies", "observability"}),  # pure decisions; log events
    frozenset({"registry", "flows"}),  # job types and workflow kinds as plain data
    frozenset({"models"}),  # nouns
    frozenset({"lifecycle"}),  # moves
    frozenset({"llm", "retrieval", "tools", "delivery"}),  # adapters to the outside
    frozenset({"dispatch"}),  # rows become messages
    frozenset({"runtime"}),  # around a body
    frozenset({"services"}),  # use cases
    frozenset({"streams"}),  # events, to clients that wait for them
    # Doors for clients and people, and Django's entry points.
    frozenset(
        {"api", "mcp_server", "admin", "console", "management", "local", "drill", "templatetags", "checks", "apps"}
    ),
    frozenset({"testing"}),  # a pytest plugin for packages of others
)
# The offline model server is a process of its own that only HTTP reaches.
ISLANDS = frozenset({"offline_model"})
TASKS_MAY_USE = frozenset(
    {"runtime", "flows", "registry", "policies", "errors", "llm", "retrieval", "tools", "delivery"}
)
CELERY_HOMES = ("config/celery.py", "agentapp/runtime/", "agentapp/dispatch/")
HOMES = {
    "celery": (*CELERY_HOMES, "config/flower.py", "config/worker.py"),
    "kombu": CELERY_HOMES,
    "billiard": CELERY_HOMES,
    "drf_spectacular": ("agentapp/api/contract/",),
    "django_celery_results": ("agentapp/dispatch/", "agentapp/admin/"),
    # Of a web process that has met an MCP client: it takes as long to import as the rest of a command.
    "mcp": ("agentapp/mcp_server/server.py",),
    "mcp_types": ("agentapp/mcp_server/server.py",),
    # A web process that nobody scrapes need not load it.
    "prometheus_client": ("agentapp/api/exposition.py",),
    # Of processes that send spans: an optional extra.
    # Of processes on this broker: an optional extra.
    "sqlalchemy": ("agentapp/dispatch/brokers/postgres_transport.py",),
    "opentelemetry": ("agentapp/observability/otel.py",),
    "openai": ("agentapp/llm/connection.py", "agentapp/llm/framework_client.py"),
    "redis": ("agentapp/dispatch/redis_client.py", "agentapp/dispatch/transport.py", "agentapp/dispatch/receiving.py"),
}
STATE_DOORS = (
    "agentapp/lifecycle/",
    "agentapp/local/demo.py",  # an API client: what it has last seen of a task, no row
)
SQL_DOORS = (
    "agentapp/lifecycle/",
    "agentapp/local/postgres.py",  # makes the database itself, before there is any row
    "agentapp/dispatch/brokers/postgres_transport.py",  # queues of messages, which may be in another database
)
CATCH_ALL_DOORS = (
    "agentapp/lifecycle/combiner.py",  # an error of one item, among several that share a statement
    "agentapp/mcp_server/calls.py",  # a tool failed, and is answered as by an endpoint
    "agentapp/retrieval/in_time.py",  # a search in a thread of its own failed, and who waits for it raises that
    "agentapp/runtime/claiming.py",  # claims that were made together failed, and each is made again
    "agentapp/runtime/runner.py",  # a body failed
    "agentapp/runtime/strategy.py",  # a message failed, and its slot is free again
    "agentapp/runtime/failing.py",  # its failure cannot be recorded
    "agentapp/runtime/heartbeat.py",  # keep beating
    "agentapp/runtime/clean_up.py",  # a body's clean-up failed, and is asked for again
    "agentapp/services/request_counts.py",  # keep counting
    "agentapp/dispatch/loop.py",  # keep asking for the lead
    "agentapp/dispatch/duty.py",  # keep looping
    "agentapp/dispatch/sweep.py",  # one bad item
)
DRIVER_DOORS = (
    "agentapp/policies/faults.py",
    # They turn what a driver raises into what the rest of us knows.
    "agentapp/lifecycle/database.py",
    "agentapp/dispatch/redis_client.py",
    "agentapp/dispatch/transport.py",
    "agentapp/dispatch/receiving.py",
    "agentapp/dispatch/leader.py",
    "agentapp/lifecycle/postgresql/liveness.py",
    "agentapp/llm/connection.py",
    "agentapp/delivery/mail.py",
    "agentapp/delivery/smtp.py",
    "agentapp/client/",  # of the API, for programs of others
    "agentapp/local/",  # starts servers, before there is anything to classify
)
# Who lists errors of the system beside others, and why that is no classification.
OS_ERROR_DOORS = (
    "agentapp/policies/faults.py",
    "agentapp/policies/schedules.py",  # a time zone that there is not, in whichever way
    "agentapp/client/",
    "agentapp/local/",
    "agentapp/offline_model/",
    "agentapp/delivery/",  # what certainly was not sent, apart from what may have been
    "agentapp/llm/connection.py",
    "agentapp/retrieval/parsing/",  # a reader of a file fails as the file likes, in a process of its own
    "agentapp/tools/servers/session.py",  # a server that is told goodbye, and need not hear it
    "agentapp/runtime/task_events.py",  # what redis_client and a broker's permissions were turned into
    "agentapp/services/brokers.py",  # likewise
    "agentapp/management/commands/",  # a sentence for whom has typed the command
)
NUMBER_DOORS = (
    "agentapp/policies/bounds.py",
    "agentapp/api/body.py",  # refuses what JSON's reader takes
    "agentapp/llm/vectors.py",  # tests a thousand numbers in a loop of its own
    "agentapp/tools/servers/watch.py",  # numbers of processes, from Linux and from us; it imports nothing of ours
)
LOCK_DOORS = (
    "agentapp/lifecycle/clean_up.py",  # a worker writes to the job that it has cleaned up after; the rest are moves
    "agentapp/lifecycle/postgresql/bound.py",  # it sends what others ask
    "agentapp/lifecycle/database.py",  # how long a move waits travels with its statement
    "agentapp/dispatch/brokers/postgres_transport.py",  # it adds and deletes messages, and passes over locked ones
    "agentapp/lifecycle/gates.py",  # a person changes one gate, within the time limit of a request
    "agentapp/lifecycle/webhook_endpoints.py",  # a request or a worker changes one endpoint
)
PLATFORM_DOORS = (
    "agentapp/lifecycle/tenant_context.py",  # it is what they call
    "agentapp/api/endpoint.py",  # whose key it is says which tenant; what keys of operators show is of all
    "agentapp/api/streams.py",  # likewise, of a token
    "agentapp/admin/base.py",  # the visitor's memberships say which tenants
    "agentapp/admin/accounts.py",  # what belongs to an account that is to be deleted
    "agentapp/services/tenants.py",  # a tenant that is made is of nobody yet
    "agentapp/services/people.py",  # whether an account belongs to another tenant too
    "agentapp/services/metrics.py",  # figures of the platform
    "agentapp/streams/access.py",  # whether all who follow something still may
)
FILE_LINES = 300
FUNCTION_LINES = 40

PRODUCT = ("agentapp", "tasks", "config")
VIOLATIONS = sorted((Path(__file__).parent / "structure" / "violations").glob("*.txt"))


def check(module: Module) -> Iterator[Violation]:
    """Apply every rule for the product's code to one file."""
    yield from layers.check(module, layers=LAYERS, islands=ISLANDS, tasks_may_use=TASKS_MAY_USE, homes=HOMES)
    yield from doors.celery_retries(module)
    yield from doors.signals(module)
    yield from pages.check(module)
    yield from size.check(module, file_lines=FILE_LINES, function_lines=FUNCTION_LINES)
    if not module.stands_in(*STATE_DOORS):
        yield from doors.one_door_per_state(module)
    if not module.stands_in(*SQL_DOORS):
        yield from doors.sql(module)
    if not module.stands_in(*PLATFORM_DOORS):
        yield from contexts.check(module)
    if not module.stands_in(*NUMBER_DOORS):
        yield from numbers.check(module)
    if not module.stands_in(*DRIVER_DOORS):
        yield from drivers.check(module)
    if not module.stands_in(*OS_ERROR_DOORS):
        yield from drivers.check_lists(module)
    if not module.stands_in(*CATCH_ALL_DOORS):
        yield from doors.catch_all(module)
    if module.stands_in("agentapp/dispatch/", *sweeps.OF_DUTIES):
        yield from sweeps.check(module)
    if module.stands_in("agentapp/dispatch/", "agentapp/lifecycle/"):
        yield from backlogs.check(module)
    if module.stands_in("agentapp/dispatch/", "agentapp/lifecycle/") and not module.stands_in(*LOCK_DOORS):
        yield from locks.check(module)


@pytest.fixture(scope="module")
def broken() -> list[Violation]:
    return [violation for module in modules(*PRODUCT) for violation in check(module)]


RULES = (
    "layers", "state", "sql", "catch-all", "retry", "signals", "size", "drivers", "numbers", "sweeps", "locks",
    "backlogs", "contexts",
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_the_product_keeps_the_rule(rule: str, broken: list[Violation]) -> None:
    found = [str(violation) for violation in broken if violation.rule == rule]

    assert not found, "\n" + "\n".join(found)


def test_tests_and_benchmarks_are_small_and_wait_for_their_pages() -> None:
    found = [
        str(violation)
        for module in modules("tests", "bench")
        for violation in [*size.check_file(module, file_lines=FILE_LINES), *pages.check(module)]
    ]

    assert not found, "\n" + "\n".join(found)


def test_what_services_do_for_duties_is_looked_at() -> None:
    """The dispatcher is handed it by its command."""
    (command,) = [each for each in modules("agentapp/management") if each.path.endswith("/run_dispatcher.py")]
    (handed,) = re.findall(r"Hooks\((.*)\)", command.text)
    named = {name for name in re.findall(r"(\w+)\.\w+", handed) if (ROOT / f"agentapp/services/{name}.py").is_file()}

    assert {f"agentapp/services/{name}.py" for name in named} == set(sweeps.OF_DUTIES)


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in sweeps.OF_DUTIES.items() for name in names])
def test_every_loop_within_an_item_is_one(monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    names = {other: why for other, why in sweeps.OF_DUTIES[path].items() if other != name}
    monkeypatch.setitem(sweeps.OF_DUTIES, path, names)
    (module,) = [each for each in modules("agentapp/services") if each.path == path]

    assert any(sweeps.check(module))


def test_every_part_of_agentapp_stands_in_one_layer() -> None:
    parts = {layers.part_of(module) for module in modules("agentapp")} - {"__init__"}
    known = [name for layer in LAYERS for name in layer]

    assert parts <= {*known, *ISLANDS}
    assert len(known) == len(set(known))


def test_a_job_type_is_one_file_and_has_its_name() -> None:
    """A team finds the job type X in tasks/X.py. The package's own files apart, every file declares one."""
    for module in modules("tasks"):
        if len(module.parts) > 2 or module.parts[-1] in {"__init__.py", "apps.py"}:
            continue
        assert f"def {Path(module.path).stem}(" in module.text, f"{module.path} does not define its job type"


@pytest.mark.parametrize("path", VIOLATIONS, ids=lambda path: path.stem)
def test_a_violation_is_reported(path: Path) -> None:
    """The first line of each file says where it pretends to stand, and which rule it breaks how often."""
    text = path.read_text(encoding="utf-8")
    place, rule, times = text.splitlines()[0].removeprefix("# ").split()

    found = [violation.rule for violation in check(Module.of(place, text))]

    assert found == [rule] * int(times)


def test_a_file_that_is_too_long_is_reported() -> None:
    text = "# one line\n" * (FILE_LINES + 1)

    assert [violation.rule for violation in check(Module.of("agentapp/policies/long.py", text))] == ["size"]


def test_the_moves_themselves_may_do_what_others_may_not() -> None:
    text = "def complete(job, cursor):\n    job.state = 'completed'\n    cursor.execute('SELECT 1')\n"

    assert not list(check(Module.of("agentapp/lifecycle/complete.py", text)))
    assert len(list(check(Module.of("agentapp/services/complete.py", text)))) == 2


def test_the_checkers_read_the_real_tree() -> None:
    """A wrong root would make every rule hold."""
    paths = {module.path for module in modules(*PRODUCT)}

    assert ROOT.joinpath("manage.py").is_file()
    assert {"agentapp/states.py", "agentapp/runtime/runner.py", "tasks/generate_draft.py", "config/env.py"} <= paths
