"""A process that was stopped for longer than its watchdog waits ends itself, whichever of its threads wakes first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from agentapp.local.stack import CHECKOUT
from agentapp.runtime.watchdog import STANDSTILL_LEASES

LEASE_S = 0.5
EXIT_S = 60
# As if the heartbeat and the watchdog had come before the timer in C, and set it again: on a busy machine they do.
LATE_TIMER = "faulthandler.dump_traceback_later = lambda *arguments, **options: None"
PROCESS = """
import faulthandler, threading, time
import django
django.setup()
from agentapp.runtime.watchdog import Watchdog
{before}
watchdog = Watchdog()
def beat():
    while True:
        watchdog.moved()
        time.sleep(0.05)
threading.Thread(target=beat, daemon=True).start()
watchdog.run(lambda: print("looks", flush=True))
"""


@pytest.mark.parametrize("before", ["", LATE_TIMER], ids=["timer", "late_timer"])
def test_a_process_that_stood_still_for_too_long_ends_when_it_goes_on(before: str, process_env: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS.format(before=before)], cwd=CHECKOUT, text=True,
        env=process_env
        | {
            "AGENTAPP_LEASE_S": str(LEASE_S), "AGENTAPP_HEARTBEAT_S": "0.1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        },
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout and process.stdout.readline() == "looks\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep((STANDSTILL_LEASES + 1) * LEASE_S)
        os.kill(process.pid, signal.SIGCONT)
        _, said = process.communicate(timeout=EXIT_S)
    finally:
        process.kill()

    assert process.returncode == 1
    assert "in beat" in said  # where its threads were
