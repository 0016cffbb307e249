"""What a tool may declare, and the tools that every installation has. [C6]"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from agentapp.errors import InvalidPlan, TimedOut, ToolFailed
from agentapp.llm.answers import Embeddings
from agentapp.services.principals import Principal
from agentapp.tools import ToolContext, registry, tool
from agentapp.tools.built_in import calculate
from agentapp.tools.built_in import fetch_url as fetching
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, results, run, script


def documented(ctx: ToolContext, *, n: int) -> str:
    """Do something."""
    return str(n)


def bare(ctx: ToolContext) -> str:
    return ""


def positional(ctx: ToolContext, n: int) -> str:
    """Do something."""
    return str(n)


BAD: dict[str, tuple[dict[str, Any], Callable[..., Any], str]] = {
    "no docstring": ({"queue": "model"}, bare, "write a docstring"),
    "an argument by place": ({"queue": "model"}, positional, "keyword-only arguments"),
    "no such class": ({"queue": "gpu"}, documented, "no worker class 'gpu'"),
    "the class of webhooks": ({"queue": "webhooks"}, documented, "no worker class 'webhooks'"),
    "a class without it": ({"queue": "model", "worker_scopes": {"mail:send"}}, documented, "does not hold mail:send"),
    "no such scope": ({"queue": "model", "scope": "all"}, documented, "no scope 'all'"),
    "a write that asks nobody": (
        {"queue": "send", "write": True, "scope": "tools:write", "approval": "never"}, documented, "asks for approval",
    ),
    "a write without a scope": ({"queue": "send", "write": True}, documented, "needs a scope of the key"),
    "no end": ({"queue": "model", "timeout_s": 10_000}, documented, "its timeout_s must be 1 to 150"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_tool_that_does_not_fit_together_is_refused_at_start(name: str) -> None:
    declared, body, words = BAD[name]

    with pytest.raises(InvalidPlan, match=words):
        tool(**declared)(body)

    assert registry.find(body.__name__) is None


def test_the_arguments_are_the_signature() -> None:
    search = registry.find("search_documents")
    assert search is not None

    assert search.parameters()["required"] == ["query"]
    assert search.parameters()["properties"]["limit"] == {"default": 5, "maximum": 10, "minimum": 1, "type": "integer"}


class Page(ThreadingHTTPServer):
    """Answers with one page, whatever is asked."""

    def __init__(self, page: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nobody reads it."""

        super().__init__(("127.0.0.1", 0), Handler)


def fetched(page: bytes) -> str:
    """What fetch_url says of a page."""
    context = ToolContext(
        tenant_id=1, task_id=uuid4(), call_id="t001c0000", embed=no_model, left_s=lambda: 20.0, check=lambda: None,
        release=lambda: None,
    )  # fmt: skip
    with Page(page) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            return str(fetching.fetch_url(context, url=f"http://127.0.0.1:{server.server_address[1]}/"))
        finally:
            server.shutdown()


def no_model(texts: list[str], /, *, model: str = "") -> Embeddings:
    raise AssertionError(texts)


def test_the_text_of_a_page_is_what_a_reader_sees(settings: Settings) -> None:
    settings.AGENTAPP_FETCH_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    whole = b"<html><head><title>T</title></head><body><h1>A</h1><script>x()</script><p>B <b>c</b></p></body></html>"

    assert fetched(whole) == "T\n\n# A\n\nB c"
    assert fetched(b"<head><title>T</title><body><p>The end tag of a head may be left out.") == (
        "T\n\nThe end tag of a head may be left out."
    )
    assert fetched(b'<meta charset="latin1"><p>caf\xe9') == "café"
    assert fetched(b"<p>cut within a letter: \xc3") == "cut within a letter: \ufffd"


@pytest.mark.parametrize("trap", [b"<!--" * 120_000, b"<![" * 1_000], ids=["hours", "failure"])
def test_a_page_that_is_a_trap_for_its_reader_is_an_error_for_the_model(settings: Settings, trap: bytes) -> None:
    settings.AGENTAPP_FETCH_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]

    # Its process is ended by its time of CPU, or of the wall where the machine is busy.
    with pytest.raises((ToolFailed, TimedOut), match=r"The page cannot be read|could not be read within"):
        fetched(trap)


@pytest.mark.parametrize(
    ("expression", "result"),
    [("123456789 * 987654321", "121932631112635269"), ("2 ** 100", "1267650600228229401496703205376"),
     ("7 / 2", "3.5"), ("10 ** 60 * 2", "2e+60")],
)  # fmt: skip
def test_whole_numbers_are_calculated_exactly(expression: str, result: str) -> None:
    assert calculate._written(calculate._value(ast.parse(expression, mode="eval").body)) == result


@pytest.mark.django_db
def test_an_agent_fetches_no_private_address_and_calculates_nothing_that_does_not_end(
    principal: Principal, agent_model: OfflineModel
) -> None:
    calls = [
        call("fetch_url", url="http://127.0.0.1:1/"), call("fetch_url", url="http://169.254.169.254/latest"),
        call("fetch_url", url="file:///etc/passwd"), call("calculate", expression="9 ** 9 ** 9"),
        call("calculate", expression="__import__('os')"), call("calculate", expression="(-8) ** (1 / 3)"),
    ]  # fmt: skip
    task = run(principal, script(calls, "Oh."))

    told = results(task)
    assert [status for _, status, _ in told] == ["error"] * 6
    assert all("may not be fetched" in text for _, _, text in told[:3])
    assert all("cannot be calculated" in text for _, _, text in told[3:])
