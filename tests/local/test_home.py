import io
import os
import socket

import pytest
from django.core.management import CommandError, call_command

from agentapp.local import ports
from agentapp.local.home import HomeLock, forget
from agentapp.local.problem import StackProblem


def test_a_home_is_held_by_one_process_at_a_time(home):
    with HomeLock(home), pytest.raises(StackProblem, match=f"process {os.getpid()}") as refusal, HomeLock(home):
        pass

    assert "AGENTAPP_HOME=" in str(refusal.value)


def test_a_home_is_free_again_after_its_stack(home):
    with HomeLock(home):
        pass
    with HomeLock(home):
        pass


def test_a_home_that_cannot_be_made_is_a_sentence(home):
    (home / "file").touch()

    with pytest.raises(StackProblem, match="set AGENTAPP_HOME to a directory of yours"), HomeLock(home / "file" / "x"):
        pass


def test_reset_removes_what_is_ours_and_nothing_else(home):
    with HomeLock(home):
        (home / "outbox").mkdir()
        (home / "outbox" / "1.eml").touch()
        (home / "notes.txt").touch()

    assert forget(home) == ["outbox"]
    assert [path.name for path in home.iterdir()] == ["notes.txt"]


def test_reset_leaves_a_directory_alone_that_never_was_a_home(home):
    (home / "media").mkdir()

    assert forget(home) == []
    assert (home / "media").exists()


def test_reset_is_refused_while_a_stack_runs(home):
    (home / "outbox").mkdir()

    with HomeLock(home), pytest.raises(StackProblem, match="A stack runs"):
        forget(home)
    assert (home / "outbox").exists()


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(StackProblem, match="is no port"):
        ports.wanted(port)


def test_a_second_demo_says_that_one_runs_and_nothing_of_its_port(home, settings, monkeypatch):
    monkeypatch.delenv("PORT", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as web, HomeLock(home):
        settings.AGENTAPP_HOME, settings.AGENTAPP_PORT = home, web.getsockname()[1]
        said = io.StringIO()
        with pytest.raises(CommandError, match="A stack runs"):
            call_command("demo", stdout=said)

    assert "is taken" not in said.getvalue()
