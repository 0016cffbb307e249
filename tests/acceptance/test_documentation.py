"""Every command and request of the documentation is run, literally and in order, against a stack of its own.

A page is one shell session, which begins with what the README tells every reader to define. A block in the language
`sh` is run; `text` is for what belongs to other machines.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentapp.testing.servers import UNSET
from tests import homes, template
from tests.acceptance.deployment import until
from tests.structure.markdown import Page, page, pages
from tests.structure.source import ROOT

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

START_S = 300.0
# The page about webhooks has a receiver on this machine, and says that the stack must be started so.
UP = {"PORT": "0", "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
README = page(ROOT / "README.md")
# Lines that are not run here, and why.
LEFT_OUT = {
    r"(\w+=\S+ )*make (demo|up)\b": "a stack runs already, started by the command that they call",
    r"make (test|check|chaos|load|soak|compat|brokers|pooler)\b": "this is the test run",
    r"make (docs|audit)\b": "CI runs these before the tests, from packages of their own",
    r"make dev\b": "what this test run itself needs",
    r"\S+ manage.py drill --json": "the README runs the same drill, which takes a minute",
    r"make (fmt|reset|lock)\b": "changes the checkout or deletes what the other pages use",
}
PAGES = [each for each in pages() if each.blocks("sh") and each.path != "CHANGELOG.md"]
DEFINITIONS = next(block for block in README.blocks("sh") if "stack()" in block)
# A request that is refused ends the page. HTTP errors are silent in curl unless it is told otherwise.
PRELUDE = 'set -euo pipefail\ncurl() { command curl --fail-with-body --max-time 60 "$@"; }\n'


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A copy of this checkout whose stack runs, as somebody has it who has cloned it and said `make up`."""
    folder = homes.make("agentapp-docs-")
    # With its byte code: nine processes would compile the same modules side by side.
    shutil.copytree(ROOT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "node_modules"))
    (folder / ".venv").symlink_to(sys.prefix)
    # Its database is migrated already: how it comes to be is a matter of the demo's test.
    (folder / ".local").mkdir()
    template.laid(folder / ".local", {"DATABASE_URL": ""})
    log = folder / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            [".venv/bin/python", "manage.py", "up"], cwd=folder, env=environment(folder) | UP,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        stack = folder / ".local" / "stack.json"
        until(lambda: stack.exists() or up.poll() is not None, "the stack is up", deadline_s=START_S)
        assert stack.exists(), log.read_text()
        yield folder
    finally:
        up.terminate()
        up.wait(timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


def run(script: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-s"], input=script, cwd=checkout, env=environment(checkout), capture_output=True, text=True,
        check=False, timeout=380,
    )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    """A reader's shell: nothing of this test run's servers and settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENTAPP_", "DJANGO_", "PYTEST_"))
        and name not in {*UNSET, "DATABASE_URL", "REDIS_URL"}
    }
    return {**kept, "HOME": str(folder), "PGAPPNAME": "documentation"}


def runnable(each: Page) -> str:
    """The page's commands as one script; what is left out is replaced by an empty command."""
    blocks = [block for block in each.blocks("sh") if block != DEFINITIONS]
    script = PRELUDE + DEFINITIONS
    for number, block in enumerate(blocks, start=1):
        lines = [":" if is_left_out(line) else line for line in block.splitlines()]
        script += "\n".join([f"echo '--- block {number} of {each.path}' >&2", *lines, ""])
    return script


def is_left_out(line: str) -> bool:
    return any(re.match(pattern, line) for pattern in LEFT_OUT)


@pytest.mark.parametrize("each", PAGES, ids=lambda each: each.path)
def test_what_a_page_tells_to_run_works(each: Page, checkout: Path) -> None:
    ran = run(runnable(each), checkout)

    assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    assert "Traceback" not in ran.stderr


def test_the_gates_of_the_examples_can_be_made(checkout: Path) -> None:
    """What limits.md shows as JSON is the body of POST /gates."""
    gates = [json.loads(block) for block in page(ROOT / "docs" / "howto" / "limits.md").blocks("json")]
    headers = "-H \"Authorization: Bearer $GATES_KEY\" -H 'Content-Type: application/json'"
    requests = [f"curl -s \"$URL/gates\" {headers} -d '{json.dumps(gate)}'" for gate in gates]
    script = "\n".join([PRELUDE + DEFINITIONS + GATES_KEY, *requests, ""])
    ran = run(script, checkout)

    assert len(gates) > 5
    assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


GATES_KEY = next(
    line + "\n"
    for block in page(ROOT / "docs" / "howto" / "users_and_keys.md").blocks("sh")
    for line in block.splitlines()
    if line.startswith("GATES_KEY=")
)


@pytest.mark.parametrize(
    ("line", "is_out"),
    [
        ("make demo    # set up", True), ("PORT=0 ONCE=1 make up", True), ("make test", True),
        ('curl -s "$URL/tasks"', False), (".venv/bin/python manage.py drill", False), ("maker", False),
    ],
)  # fmt: skip
def test_what_is_left_out_is_left_out(line: str, is_out: bool) -> None:
    assert is_left_out(line) is is_out


def test_a_page_that_fails_is_noticed(checkout: Path) -> None:
    refused = Page("docs/page.md", '```sh\ncurl -s "$URL/tasks/nothing" -H "Authorization: Bearer $KEY" | cat\n```\n')
    ran = run(runnable(refused), checkout)

    assert ran.returncode != 0
    assert "not-found" in ran.stdout
