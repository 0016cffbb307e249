"""MCP servers that are programs of the worker's machine, which a setting names (stdio). [C11]"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agentapp.delivery.guarded_http import NoAnswer
from agentapp.errors import CannotBeSent, EffectUnknown, InvalidInput, NotSentYet
from agentapp.models import Job, ServerTool, Tenant, ToolServer
from agentapp.services import tool_servers
from agentapp.services.principals import Principal
from agentapp.tools.servers import opening
from agentapp.tools.servers.session import Address, Session, UnreadableAnswer
from config import env_tools
from config.url import Unusable
from tests.harness import drain
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, results, run, script
from tests.tasks.mcp_servers import OPERATOR, mark

HELLO = {"text": "hello"}
SERVER = Path(__file__).with_name("program_server.py")
# Answers what its argument says to each line, and remembers what it was told.
ODD = """
import json, os, sys
how, log = sys.argv[1:]
begun = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "odd", "version": "1"}}
for line in sys.stdin:
    open(log, "a").write(line)
    told = json.loads(line)
    if "id" not in told:
        continue
    if told["method"] == "initialize":
        if how == "silent":
            os.close(1)
            sys.exit(4)
        print("a line that is no message", flush=True)
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message"}), flush=True)
        print(json.dumps({"jsonrpc": "2.0", "id": told["id"], "result": begun}), flush=True)
    elif how == "flood":
        while True:
            print("x" * 60_000, flush=True)
    elif how == "dead":
        sys.exit(5)
"""


@pytest.fixture
def log(tmp_path: Path, settings) -> Iterator[Path]:
    """What the programs were told, and the setting that names them."""
    path = tmp_path / "told"
    odd = {how: [sys.executable, "-c", ODD, how, str(path)] for how in ("flood", "dead", "silent")}
    settings.AGENTAPP_TOOL_COMMANDS = odd | {
        "real": [sys.executable, str(SERVER), str(path)], "missing": ["/nowhere/at-all"],
    }  # fmt: skip
    yield path


def session(name: str) -> AbstractContextManager[Session]:
    return opening.opened(Address(f"stdio:{name}"), left_s=lambda: 60.0)


@pytest.mark.django_db
def test_an_agent_uses_a_program_after_a_person_has_looked_at_its_tools(
    log: Path, tenant: Tenant, principal: Principal, agent_model: OfflineModel, outbox: Path, monkeypatch
) -> None:
    monkeypatch.setenv("MCP_KEY_PROGRAM", "a-key-for-the-program")
    given = {"tenant": tenant.slug, "name": "files", "url": "stdio:real", "key_variable": "MCP_KEY_PROGRAM"}
    server = tool_servers.save(OPERATOR, ToolServer(), given)
    drain()
    assert ServerTool.objects.filter(server=server).count() == 4
    for name in ("echo", "environment"):
        mark(server, name)

    task = run(principal, script([call("files__echo", HELLO), call("files__environment", HELLO)], "Done."))
    (_, _, said), (_, _, environment) = results(task)
    assert said == "You said: hello"
    names = environment.split()
    # Nothing of this process but what every program needs, and the key of its row.
    assert "MCP_KEY_PROGRAM" in names
    assert not {name for name in names if name.startswith(("DATABASE", "REDIS", "DJANGO", "AGENTAPP", "OPENAI"))}


@pytest.mark.django_db
def test_a_write_whose_program_dies_is_in_doubt(
    log: Path, tenant: Tenant, principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    tool_servers.save(OPERATOR, ToolServer(), {"tenant": tenant.slug, "name": "files", "url": "stdio:real"})
    drain()
    task = run(principal, script([call("files__die", HELLO)], "Done."), tools=["files__*"])
    decide(principal, task, "approve")

    job = Job.objects.get(workflow=task, type="run_tool")
    assert (job.state, (job.error or {}).get("class")) == ("dead_lettered", EffectUnknown.__name__)
    assert "exit code 3" in (job.error or {}).get("message", "")
    assert log.read_text().splitlines() == ["die"]


def test_what_was_written_in_whole_may_have_been_done(log: Path) -> None:
    with session("dead") as server, pytest.raises(NoAnswer, match="exit code 5"):
        server.call("echo", HELLO)
    with session("flood") as server, pytest.raises(UnreadableAnswer, match="more than"):
        server.call("echo", HELLO)


def test_a_program_that_does_not_begin_has_done_nothing(log: Path) -> None:
    with pytest.raises(CannotBeSent, match="no such program"), session("missing"):
        raise AssertionError
    with pytest.raises(NotSentYet, match="ended"), session("silent"):
        raise AssertionError
    with pytest.raises(CannotBeSent, match="names no program 'other'"), session("other"):
        raise AssertionError


def test_a_program_that_hangs_ends_with_the_time_of_the_call(log: Path) -> None:
    left = [60.0]
    with opening.opened(Address("stdio:real"), left_s=lambda: left[0]) as server:
        left[0] = 0.5
        with pytest.raises(NoAnswer, match="in time"):
            server.call("hang", HELLO)


@pytest.mark.django_db
def test_a_row_names_a_program_of_the_setting(log: Path, tenant: Tenant) -> None:
    with pytest.raises(InvalidInput, match="AGENTAPP_TOOL_COMMANDS names no program 'other'"):
        tool_servers.save(OPERATOR, ToolServer(), {"tenant": tenant.slug, "name": "files", "url": "stdio:other"})


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        "no json",
        '{"Files": ["x"]}',
        '{"files": []}',
        '{"files": "x"}',
        '{"files": [1]}',
        '{"files": ["\\u0000"]}',
    ],
)
def test_a_setting_that_names_no_programs_is_refused(value: str) -> None:
    with pytest.raises(Unusable):
        env_tools.commands(value)
