"""The sum of connections is told before Postgres refuses one."""

from __future__ import annotations

import re

from agentapp.local import procfile
from agentapp.local.stack import CHECKOUT
from agentapp.policies import connections
from agentapp.policies.connections import Room


def test_what_does_not_fit_is_said_with_what_to_change() -> None:
    asked = connections.of_web(10)
    assert connections.problem(asked, Room(most=97, used=87), process="web") == ""
    assert connections.problem(asked, Room(most=97, used=88), process="web") == (
        "This web process may hold 10 connections to Postgres, and 9 of 97 are free. Raise max_connections (or the "
        "limit of the role or database), or lower AGENTAPP_DB_POOL_MAX of this process, or put PgBouncer in between."
    )
    assert "DB_POOL" not in connections.problem(16, Room(most=97, used=120), process="dispatcher")


def test_a_process_asks_for_its_pool_and_what_stands_beside_it() -> None:
    assert connections.of_worker(32, pool_max=10, prefork=False) == 12
    assert connections.of_worker(4, pool_max=10, prefork=False) == 6, "no more than it has threads"
    assert connections.of_worker(4, pool_max=0, prefork=False) == 6
    assert connections.of_worker(2, pool_max=10, prefork=True) == 5
    assert connections.of_web(0) == connections.WEB_THREADS


def test_the_standard_sum_is_that_of_the_procfile() -> None:
    lines = procfile.read(CHECKOUT / "Procfile")
    pools = {
        name: int(found[1])
        for name, line in lines.items() if (found := re.search(r"AGENTAPP_DB_POOL_MAX:-([0-9]+)", line))
    }  # fmt: skip
    assert {name: pools[name] + (0 if name == "web" else connections.OF_A_WORKER) for name in pools} == {
        name: connections.STANDARD[name] for name in pools
    }
    assert set(lines) - {"model"} == set(connections.STANDARD) - {"second dispatcher"}
    assert connections.standard_problem(Room(most=97, used=0)) == "", "the default of Postgres is enough"
    assert "allows 40" in connections.standard_problem(Room(most=40, used=0))
