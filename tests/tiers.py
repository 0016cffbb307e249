"""Which tests `make test` leaves out: those that prove much and cost much. A pytest plugin (`-p tests.tiers`).

They have the mark `thorough`, by this table alone. `make check` and CI run them with all others in one run, and so does
`make test ARGS=...`. What stays runs the whole once with its processes, a kill, a browser and the demo: see WHOLE.
"""

from __future__ import annotations

from pathlib import Path

import pytest

MARK = "thorough"
WITHOUT = f"not {MARK}"
ROOT = Path(__file__).resolve().parents[1]

# Directories, modules and tests, by what makes them dear.
THOROUGH = (
    # Stacks, and what kills and stops their processes.
    "tests/acceptance",
    # Processes of their own for each test, or for each module.
    "tests/api/test_artifacts_live.py",
    "tests/brokers/test_rabbitmq_users.py",
    "tests/brokers/test_stack.py",
    "tests/api/test_cors.py",
    "tests/api/test_idempotency_live.py",
    "tests/api/test_root_path.py",
    "tests/deploy/test_image.py",
    "tests/llm/test_proxies.py",
    "tests/local/test_stack.py",
    "tests/mcp_server/test_hostile.py",
    "tests/mcp_server/test_http.py",
    "tests/mcp_server/test_waiting.py",
    "tests/privileges/test_postgres_tls.py",
    "tests/retention/test_failover.py",
    "tests/retention/test_restore.py",
    "tests/runtime/test_arrivals.py",
    "tests/runtime/test_hostile_messages.py",
    "tests/runtime/test_remote_control.py",
    "tests/runtime/test_strategy.py",
    "tests/runtime/test_worker_process.py",
    "tests/streams/test_broker_away.py",
    "tests/streams/test_chaos.py",
    "tests/streams/test_durability.py",
    "tests/streams/test_long_poll.py",
    "tests/streams/test_node.py",
    "tests/streams/test_stopping.py",
    "tests/streams/test_stream_js.py",
    "tests/streams/test_waiting.py",
    "tests/webhooks/test_processes.py",
    # Browsers: each page in both colours and two widths, and long ways through many pages.
    "tests/admin/test_approval_browser.py",
    "tests/admin/test_browser.py",
    "tests/admin/test_dead_letters_browser.py",
    "tests/admin/test_gates_browser.py",
    "tests/admin/test_hostile_texts.py::test_no_page_runs_a_text_or_grows_by_it",
    "tests/admin/test_operations_browser.py",
    "tests/admin/test_pictures.py",
    "tests/admin/test_seeded_walk.py",
    "tests/console/test_browser.py",
    # Frameworks and servers of others, which take seconds to import.
    "tests/compat",
    "tests/frameworks",
    # Every form, page and payload for every role.
    "tests/admin/test_role_matrix.py::test_forms",
    "tests/admin/test_role_matrix.py::test_pages",
    "tests/admin/test_role_matrix.py::test_payloads_are_masked_for_who_may_not_see_them",
    "tests/admin/test_role_matrix.py::test_views_beside_records",
    # Generated requests, walks of the state machine, many threads, thousands of rows, hostile corpora.
    "tests/api/test_generated_requests.py",
    "tests/dispatch/test_barrier.py",
    "tests/dispatch/test_bulk_thousand.py",
    "tests/dispatch/test_gate_barrier.py",
    "tests/documents/test_files.py",
    "tests/lifecycle/test_combiner_under_load.py",
    "tests/lifecycle/test_effect_walks.py",
    "tests/lifecycle/test_machine.py",
    "tests/lifecycle/test_same_answers.py",
    "tests/retrieval/test_bench.py",
    "tests/retrieval/test_blocks.py",
    "tests/tasks/test_agent_taint.py",
    "tests/tasks/test_document_report.py::test_ten_thousand_chunks_are_as_many_jobs",
)
# What stays of it: a stack whose workers are killed, one that a person uses in a browser, and the README's demo.
WHOLE = (
    "tests/acceptance/test_browser.py",
    "tests/acceptance/test_demo.py",
    "tests/acceptance/test_kills.py",
)


def is_thorough(nodeid: str) -> bool:
    """Tell whether a directory, a module or a test is left out."""
    return _is_below(nodeid, THOROUGH) and not _is_below(nodeid, WHOLE)


def _is_below(nodeid: str, names: tuple[str, ...]) -> bool:
    return any(nodeid == name or nodeid.startswith((f"{name}/", f"{name}::", f"{name}[")) for name in names)


def pytest_itemcollected(item: pytest.Item) -> None:
    if is_thorough(item.nodeid):
        item.add_marker(MARK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import modules that are left out whole: each worker would."""
    if config.option.markexpr != WITHOUT or collection_path.suffix != ".py" or not collection_path.is_relative_to(ROOT):
        return None
    return is_thorough(collection_path.relative_to(ROOT).as_posix()) or None
