"""Our client and an agent against servers that other people wrote; docs/compatibility.md says what came of it. [C7]"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pytest_django import Settings

from agentapp.llm import learned
from agentapp.services.principals import Principal
from tests import homes
from tests.compat import probes, servers
from tests.compat.servers import KEY, SERVED, Opens, Served
from tests.structure.source import ROOT

pytestmark = pytest.mark.django_db

PAGE = ROOT / "docs" / "compatibility.md"


@pytest.fixture(scope="module")
def running() -> Iterator[Opens]:
    """Starts the server of a package once; the value returns its address."""
    addresses: dict[str, str] = {}
    with ExitStack() as stack:

        def address(package: str) -> str:
            if package not in addresses:
                folder = homes.make()
                stack.callback(shutil.rmtree, folder)
                addresses[package] = stack.enter_context(servers.opened(package, folder))
            return addresses[package]

        yield address


def documented() -> dict[str, list[str]]:
    """The rows of the table, by the name of the server."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row for row in rows}


@pytest.mark.parametrize("served", SERVED, ids=[served.row.replace(" ", "-") for served in SERVED])
def test_a_server_does_what_the_table_says(
    principal: Principal, settings: Settings, running: Opens, served: Served
) -> None:
    if served.is_heavy and not servers.HEAVY.exists():
        pytest.skip("`make compat` installs this server and runs this test")
    learned.forget()
    base_url = running(served.package) + served.path
    settings.AGENTAPP_MODEL_BASE_URL = settings.AGENTAPP_EMBEDDING_URL = base_url
    settings.AGENTAPP_MODEL_API_KEY = settings.AGENTAPP_EMBEDDING_KEY = KEY
    settings.AGENTAPP_MODEL, settings.AGENTAPP_EMBEDDING_MODEL = served.model, served.embedding_model

    row = probes.row(served.row, servers.version(served.package), principal)

    print(" | ".join(["", *row, ""]).strip())
    assert row == documented().get(served.row)
    learned.forget()
