"""MCP servers that are programs and attack the worker that starts them. [C11]"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentapp.delivery.guarded_http import NoAnswer
from agentapp.tools.servers import opening
from agentapp.tools.servers.session import Address
from tests.acceptance.deployment import until

PROGRAM = [sys.executable, "-I", "-S", str(Path(__file__).with_name("wicked_program.py"))]
# A worker, as far as a program sees one: it holds a session until it is killed.
WORKER = """
import sys, time
from django.conf import settings
settings.configure(AGENTAPP_TOOL_COMMANDS={"wicked": sys.argv[1:]})
from agentapp.tools.servers import opening
from agentapp.tools.servers.session import Address
with opening.opened(Address("stdio:wicked"), left_s=lambda: 60.0) as server:
    print(server.call("any", {}).text, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def marker(tmp_path: Path) -> str:
    """Stands in the command line of each program, and of all that these start."""
    return str(tmp_path / "here")


@pytest.fixture
def call(settings, marker: str) -> Callable[..., str]:
    def made(how: str, left_s: float = 60.0) -> str:
        settings.AGENTAPP_TOOL_COMMANDS = {"wicked": [*PROGRAM, how, marker]}
        left = [60.0]
        with opening.opened(Address("stdio:wicked"), left_s=lambda: left[0]) as server:
            left[0] = left_s
            return server.call("any", {}).text

    return made


def running(marker: str) -> Iterator[int]:
    """The processes that a program has started, and it itself. One that has ended has no command line."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in line.read_bytes():
                yield int(line.parent.name)
        except OSError:
            continue


def test_a_program_that_stays_ends_with_all_that_has_left_its_group(call: Callable[..., str], marker: str) -> None:
    call("stays")

    assert Path(marker).exists(), "its input has ended, and it stayed"
    assert not list(running(marker))


def test_nothing_is_left_of_a_program_whose_worker_was_killed(marker: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, *PROGRAM, "stays", marker], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    with worker, worker.stdout:
        assert worker.stdout.readline()
        # The worker, the program and two that it has started, and the process that watches over it.
        assert len(set(running(marker))) == 5
        os.kill(worker.pid, signal.SIGKILL)

    until(lambda: not list(running(marker)), "nothing of it runs")


def test_what_is_no_answer_is_left_out_and_complaints_do_not_hold_it_up(call: Callable[..., str]) -> None:
    assert call("garbles") == "up"
    assert call("complains")


def test_the_last_line_of_a_program_needs_no_end_but_has_to_be_whole(call: Callable[..., str]) -> None:
    assert call("halves") == "up"
    with pytest.raises(NoAnswer, match="ended without an answer"):
        call("breaks off")


def test_a_program_that_has_ended_is_seen_although_what_it_started_holds_its_pipes(
    call: Callable[..., str], marker: str
) -> None:
    with pytest.raises(NoAnswer, match="ended without an answer"):
        call("leaves")

    assert not list(running(marker))


def test_one_that_never_stops_talking_has_no_more_time_than_one_that_is_silent(call: Callable[..., str]) -> None:
    with pytest.raises(NoAnswer, match="in time"):
        call("drips", left_s=0.1)


def test_a_program_sees_no_setting_of_its_worker(call: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret")

    assert set(call("plain").split()) <= {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ"}
