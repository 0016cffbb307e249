"""How soon an event reaches a client after its commit, and what an open stream costs.

    python -m bench.streams --streams 1 300 --events 100
    python -m bench.streams --streams 300 --events 20 --restart

One web process, no workers. This process commits changes of tasks and follows them over HTTP, so both moments are told
by one clock. `--streams`: so many are open while it measures. Memory is that of the web process, before and after.
`--restart`: then the web process is told to end, every task that is followed ends meanwhile, and the next process tells
of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from agentapp.client import AsyncClient
from agentapp.local.stack import LocalStack

TASK = {"subject": "A question", "body": "What does it cost?", "customer_email": "reader@sample.test"}


class Followers:
    """Streams in an event loop of their own; `heard` gets (task, moment) when a task is over."""

    def __init__(self, url: str, key: str) -> None:
        self.heard: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._about = url, key
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def follow(self, task: str) -> None:
        """Return when the stream has told what there was."""
        asyncio.run_coroutine_threadsafe(self._follow(task), self._loop)
        self.begun.get(timeout=60)

    async def _follow(self, task: str) -> None:
        is_begun = False
        async with AsyncClient(*self._about) as client:
            async for event in client.stream(task):
                if event.type == "done":
                    self.heard.put((task, time.monotonic()))
                elif not is_begun:
                    is_begun = True
                    self.begun.put(task)


def services() -> tuple[Callable[[], str], Callable[[str], float]]:
    """Functions that submit a task, and that end one and return when that was committed."""
    import django

    django.setup()
    from uuid import UUID

    from agentapp.models import ApiKey
    from agentapp.services import principals, workflows

    key = ApiKey.objects.filter(scopes__contains=["tasks:write", "tasks:read"]).select_related("tenant").first()
    assert key is not None
    principal = principals.of_key(key)

    def submit() -> str:
        return str(workflows.submit(principal, kind="support_reply", input=TASK).pk)

    def end(task: str) -> float:
        workflows.cancel(principal, UUID(task), reason="measured")
        return time.monotonic()

    return submit, end


def measured(followers: Followers, web: int, calls: Any, *, streams: int, events: int) -> str:
    submit, end = calls
    before = psutil.Process(web).memory_info().rss
    waiting = [submit() for _ in range(streams)]
    for task in waiting:
        followers.follow(task)
    each = (psutil.Process(web).memory_info().rss - before) / streams
    late_ms = []
    for _ in range(events):
        task = waiting.pop(0)
        ended = end(task)
        heard, moment = followers.heard.get(timeout=60)
        assert heard == task
        late_ms.append((moment - ended) * 1000)
        waiting.append(submit())
        followers.follow(waiting[-1])
        # An idle service: the next change comes when this one is over for everybody.
        time.sleep(0.02)
    for task in waiting:
        end(task)
        followers.heard.get(timeout=60)
    late_ms.sort()
    return (
        f"{streams:4} streams: an event comes {statistics.median(late_ms):5.1f} ms after its commit (p50), "
        f"{late_ms[int(len(late_ms) * 0.95)]:5.1f} ms (p95); {each / 1024:6.0f} kB of memory each"
    )


def restarted(followers: Followers, stack: LocalStack, calls: Any, *, streams: int) -> str:
    """Let the web process end below open streams; the supervisor starts the next one."""
    submit, end = calls
    tasks = [submit() for _ in range(streams)]
    for task in tasks:
        followers.follow(task)
    web = psutil.Process(stack.stack["pids"]["web"])
    told = time.monotonic()
    web.terminate()
    web.wait(timeout=60)
    ended = time.monotonic()
    for task in tasks:
        end(task)
    while not answers(f"{stack.stack['url']}/healthz"):
        time.sleep(0.005)
    there = time.monotonic()
    moments = sorted(max(0.0, followers.heard.get(timeout=60)[1] - there) for _ in tasks)
    return (
        f"{streams:4} streams: the process ends {ended - told:.2f} s after SIGTERM; once the next one answers, "
        f"{statistics.median(moments):.2f} s (p50) and {moments[-1]:.2f} s (the last) until what was missed is there"
    )


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 300])
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--restart", action="store_true")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    with LocalStack(home, processes={"web"}, say=print) as stack:
        about = stack.stack
        os.environ |= {
            "AGENTAPP_HOME": str(home), "DATABASE_URL": about["database_url"], "REDIS_URL": about["redis_url"],
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }  # fmt: skip
        followers, calls = Followers(about["url"], about["api_key"]), services()
        measured(followers, about["pids"]["web"], calls, streams=5, events=20)
        for streams in options.streams:
            print(measured(followers, about["pids"]["web"], calls, streams=streams, events=options.events))
            if options.restart:
                print(restarted(followers, stack, calls, streams=streams))


if __name__ == "__main__":
    main()
