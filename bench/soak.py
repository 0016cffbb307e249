"""A steady load on the shipped stack for a long time: does any process, connection count, table or the broker grow?

    python -m bench.soak --minutes 20                       (`make soak`)
    python -m bench.soak --minutes 120 --rate 5

So many tasks of `support_reply` a second are submitted over HTTP, read, approved and answered by a mail. Tasks that
have been over for a while are made old, so that the dispatcher deletes them and the tables reach their size. Every few
seconds the memory of each process is read (RSS; of Postgres what is not shared, of the broker also what it says), the
connections, and the rows, dead rows and sizes of the tables that are written all the time. What grows is found by the
rule of bench/slopes.py. The samples lie in build/soak.json. It ends with 1 when something grows, or a task or a mail is
missing or doubled.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from agentapp.client import Client
from agentapp.local import procfile
from agentapp.local.stack import CHECKOUT, LocalStack
from bench import slopes

GUIDE = {
    "source": "guide", "title": "Invoices", "text": "An invoice is sent on the first day of the month. " * 20
}  # fmt: skip
QUESTION = {"subject": "Invoices", "body": "When is an invoice sent?", "customer_email": "reader@sample.test"}
TABLES = (
    "workflow", "stage", "job", "attempt", "history", "approval", "effect", "modelcall", "artifact", "limit", "worker",
    "dispatcherlease", "sample",
)  # fmt: skip
SIZES = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), s.n_dead_tup
  FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relname = ANY(%s)
"""
MAKE_OLD = """
UPDATE agentapp_workflow SET finished_at = finished_at - interval '1000 days'
 WHERE state = 'completed' AND finished_at BETWEEN now() - interval '900 days' AND now() - make_interval(secs => %s)
"""
COUNTED = "SELECT count(*) FROM agentapp_workflow WHERE kind = 'support_reply' AND state <> 'completed'"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
# Below these nothing is said to grow: kB, connections, dead rows.
FLOOR_KB, FLOOR_CONNECTIONS, FLOOR_ROWS = 1024.0, 2.0, 1000.0
PATIENCE_S = 300

Sample = dict[str, float]


def memory_kb(pids: dict[str, int]) -> Sample:
    """The memory of each process, and of its children together; see the top."""
    found: Sample = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        own, children = [process], process.children(recursive=True)
        if name == "postgres":
            own, children = [process, *children], []
        for key, group in ((f"{name}, kB", own), (f"{name} children, kB", children)):
            if group:
                found[key] = sum(_memory_kb(one, is_postgres=name == "postgres") for one in group)
    return found


def _memory_kb(process: psutil.Process, *, is_postgres: bool) -> float:
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return 0.0
    return float(memory.rss - (memory.shared if is_postgres else 0)) / 1024


def tables(session: psycopg.Connection) -> Sample:
    """The size, the rows and the dead rows of each table that a task writes, or that is written all the time."""
    found: Sample = {}
    names = [f"agentapp_{name}" for name in TABLES]
    for name, heap, indexes, dead in session.execute(SIZES, [names]).fetchall():
        (rows,) = session.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() or (0,)
        short = name.removeprefix("agentapp_")
        found |= {f"{short} table, kB": heap / 1024, f"{short} indexes, kB": indexes / 1024}
        found |= {f"{short} rows": rows, f"{short} dead rows": dead}
    return found


def sample(pids: dict[str, int], session: psycopg.Connection, broker: redis.Redis) -> Sample:
    """All figures of one moment."""
    (connections,) = session.execute(CONNECTIONS).fetchone() or (0,)
    about: Any = broker.info("memory")
    said = {"connections": float(connections), "broker says, kB": about["used_memory"] / 1024}
    return memory_kb(pids) | said | tables(session)


class Load:
    """Submits, approves and makes old what is over, each in a thread, until the block ends."""

    def __init__(self, stack: dict[str, Any], *, rate: float, kept_s: float) -> None:
        self.submitted = 0
        self._over = threading.Event()
        self._stack, self._kept_s = stack, kept_s
        self._pool = ThreadPoolExecutor(3)
        each_s: dict[Callable[[Any], None], float] = {self._submit: 1 / rate, self._approve: 1.0, self._make_old: 5.0}
        self._running = [self._pool.submit(self._repeat, what, pause_s) for what, pause_s in each_s.items()]

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()

    def check(self) -> None:
        """Raise what has ended one of the threads: a refused request, a broken connection."""
        for running in self._running:
            if running.done():
                running.result()

    def finish(self) -> None:
        """Submit no more, and return when all is completed."""
        self._over.set()
        for running in self._running:
            running.result()
        deadline = time.monotonic() + PATIENCE_S
        with self._client("approver_api_key") as approver, self._session() as session:
            while (session.execute(COUNTED).fetchone() or (0,))[0]:
                if time.monotonic() > deadline:
                    raise SystemExit("Not all tasks have ended.")
                self._approve(approver)
                time.sleep(1)

    def _repeat(self, what: Callable[[Any], None], each_s: float) -> None:
        key = "approver_api_key" if what == self._approve else "api_key"
        opened: Any = self._session() if what == self._make_old else self._client(key)
        with opened as means:
            due = time.monotonic()
            while not self._over.wait(max(due - time.monotonic(), 0)):
                what(means)
                # What a slow moment has kept from being submitted is not made up for.
                due = max(due + each_s, time.monotonic())

    def _client(self, key: str) -> Client:
        return Client(self._stack["url"], self._stack[key])

    def _session(self) -> psycopg.Connection:
        return psycopg.connect(self._stack["database_url"], autocommit=True)

    def _submit(self, client: Client) -> None:
        task = client.submit("support_reply", QUESTION)
        client.get(task["id"])
        self.submitted += 1

    def _approve(self, approver: Client) -> None:
        for approval in list(approver.approvals(state="pending")):
            decision = {"decision": "approve", "content_sha256": approval["content_sha256"]}
            approver.write(f"/approvals/{approval['id']}/decision", decision)

    def _make_old(self, session: psycopg.Connection) -> None:
        session.execute(MAKE_OLD, [self._kept_s])


def run(stack: LocalStack, options: argparse.Namespace) -> tuple[list[tuple[float, Sample]], list[str]]:
    """Load the stack and take samples; return them, and what went wrong with tasks."""
    about, seconds = stack.stack, options.minutes * 60
    with Client(about["url"], about["api_key"]) as client:
        client.write("/documents", GUIDE)
    found: list[tuple[float, Sample]] = []
    began = time.monotonic()
    with (
        psycopg.connect(about["database_url"], autocommit=True) as session,
        redis.Redis.from_url(about["redis_url"]) as broker,
        Load(about, rate=options.rate, kept_s=min(seconds / 10, 120)) as load,
    ):
        while (now := time.monotonic() - began) < seconds:
            load.check()
            found.append((now, sample(about["pids"], session, broker)))
            print(f"\r{now / 60:.1f} min, {load.submitted} tasks", end="", file=sys.stderr, flush=True)
            time.sleep(options.every)
        load.finish()
    print(file=sys.stderr)
    mails = len(list(Path(about["mail_dir"]).glob("*.eml")))
    wrong = [] if mails == load.submitted else [f"{load.submitted} tasks were accepted and {mails} mails were sent."]
    print(f"{load.submitted} tasks were submitted and completed, and {mails} mails were sent.")
    return found, wrong


def figures(samples: list[tuple[float, Sample]]) -> dict[str, slopes.Judged]:
    """Judge every figure that all samples have. Rows are no figure of their own: a table that is kept is measured by kB
    for 1,000 rows where its rows grow."""
    names = [name for name in samples[0][1] if all(name in sample for _, sample in samples)]
    result: dict[str, slopes.Judged] = {}
    for name in names:
        points = [(at, sample[name]) for at, sample in samples]
        table, _, what = name.partition(" ")
        rows = f"{table} rows"
        if name.endswith(" rows"):
            if name != rows:
                # Between two rounds of autovacuum they go up and down: only what is several times as much is growth.
                dead = statistics.median(value for _, value in points)
                result[name] = slopes.judged(points, floor=max(FLOOR_ROWS, 2 * dead))
        elif rows in names and _grows_by_rows([(at, sample[rows]) for at, sample in samples]):
            each = [(at, sample[name] * 1000 / max(sample[rows], 1)) for at, sample in samples]
            result[f"{table} {what} for 1,000 rows"] = slopes.judged(each, floor=FLOOR_KB / 10)
        else:
            result[name] = slopes.judged(points, floor=FLOOR_CONNECTIONS if name == "connections" else FLOOR_KB)
    return result


def _grows_by_rows(rows: list[slopes.Point]) -> bool:
    return slopes.judged(rows, floor=100.0).grows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=3, help="tasks a second")
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--json", type=Path, default=CHECKOUT / "build" / "soak.json", help="where the samples go")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    lines = {name: f"export PGAPPNAME={name}; {line}" for name, line in procfile.read(CHECKOUT / "Procfile").items()}
    with LocalStack(home, commands=lines, env={"AGENTAPP_LOG_LEVEL": "WARNING"}, say=print) as stack:
        samples, wrong = run(stack, options)
    judged = figures(samples)
    report(judged, samples)
    options.json.parent.mkdir(exist_ok=True)
    content = {"rule": slopes.RULE, "samples": samples, "figures": {name: asdict(one) for name, one in judged.items()}}
    options.json.write_text(json.dumps(content, indent=1))
    for sentence in wrong:
        print(sentence)
    return 1 if wrong or any(one.grows for one in judged.values()) else 0


def report(judged: dict[str, slopes.Judged], samples: list[tuple[float, Sample]]) -> None:
    print(f"\n{len(samples)} samples in {samples[-1][0] / 60:.1f} minutes. {slopes.RULE}\n")
    print(f"{'':44}{'median':>12}{'per hour':>12}{'later half':>12}")
    for name, one in judged.items():
        verdict = "GROWS" if one.grows else "flat"
        print(f"{name:44}{one.median:>12,.0f}{one.per_hour:>12,.0f}{one.late_per_hour:>12,.0f}  {verdict}")
    growing = [name for name, one in judged.items() if one.grows]
    print(f"\nGrows: {', '.join(growing)}." if growing else "\nNothing grows.")


if __name__ == "__main__":
    sys.exit(main())
