"""Servers with the API of OpenAI that other people wrote, each a process of its own on loopback.

fakellm is one of the packages for development, so that CI meets it. The others are heavy and have an environment of
their own, which `make compat` makes: `.venv-compat`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.structure.source import ROOT

HEAVY = ROOT / ".venv-compat" / "bin" / "python"
KEY = "sk-no-secret-of-anyone"
# What a server imports before it answers at all, and for its first completion, takes a busy machine minutes.
STARTS_S = 600
# What every test asks of its server: fakellm answers by rules, the others by themselves.
RULES = {
    "version": 1,
    "rules": [
        {
            "name": "the tool has answered", "when": {"previous_message_role": "assistant", "tool_result_contains": ""},
            "respond": {"content": "There are 40 trees."},
        },
        {
            "name": "an agent asks", "when": {"messages_contain": "recite", "tools_include": "recite"},
            "respond": {"tool_calls": [{"name": "recite", "arguments": {"letter": "a", "characters": 3}}]},
        },
        {
            "name": "a tool is offered", "when": {"messages_contain": "trees", "tools_include": "count"},
            "respond": {"tool_calls": [{"name": "count", "arguments": {"of": "trees"}}]},
        },
        {
            "name": "a schema in the prompt", "when": {"messages_contain": "JSON schema"},
            "respond": {"content": '{"count": 40}'},
        },
        {"name": "anything else", "respond": {"content": "There are 40 trees in the park."}},
    ],
}  # fmt: skip
# Which models a LiteLLM proxy has, and where it asks for them: four APIs that it translates.
UPSTREAM = {
    "openai": ("openai/gpt-5-mini", "/v1"),
    "anthropic": ("anthropic/claude-sonnet-4-20250514", "/anthropic"),
    "gemini": ("gemini/gemini-2.5-flash", "/gemini/v1beta"),
    "mistral": ("mistral/mistral-small-latest", "/mistral/v1"),
    "embedding": ("openai/text-embedding-3-small", "/v1"),
}


@dataclass(frozen=True)
class Served:
    """A row of docs/compatibility.md: a model of a server. `package` is whose version the row names."""

    row: str
    package: str
    path: str
    model: str
    embedding_model: str = "text-embedding-3-small"

    @property
    def is_heavy(self) -> bool:
        return self.package != "fakellm"


SERVED = (
    Served("fakellm", "fakellm", "/v1", "gpt-5-mini"),
    Served("LLMock", "llmock", "/v1", "gpt-5-mini"),
    Served("LLMock as Mistral", "llmock", "/mistral/v1", "mistral-small-latest"),
    Served("LLMock as Groq", "llmock", "/groq/openai/v1", "llama-3.3-70b-versatile"),
    Served("LLMock as Together", "llmock", "/together/v1", "meta-llama/Llama-3.3-70B"),
    Served("LLMock as xAI", "llmock", "/xai/v1", "grok-4"),
    Served("LiteLLM before OpenAI's API", "litellm", "/v1", "openai", "embedding"),
    Served("LiteLLM before Anthropic's API", "litellm", "/v1", "anthropic", "embedding"),
    Served("LiteLLM before Gemini's API", "litellm", "/v1", "gemini", "embedding"),
    Served("LiteLLM before Mistral's API", "litellm", "/v1", "mistral", "embedding"),
)


def version(package: str) -> str:
    python = sys.executable if package == "fakellm" else str(HEAVY)
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def opened(package: str, folder: Path) -> Iterator[str]:
    """Start the server of a package, and what it stands in front of; the value is its address without a path."""
    with ExitStack() as stack:
        yield stack.enter_context({"fakellm": _fakellm, "llmock": _llmock, "litellm": _litellm}[package](folder))


@contextmanager
def _fakellm(folder: Path) -> Iterator[str]:
    rules = folder / "fakellm.yaml"
    rules.write_text(json.dumps(RULES))
    with _uvicorn(sys.executable, "fakellm.server:app", folder, FAKELLM_CONFIG=str(rules)) as url:
        yield url


@contextmanager
def _llmock(folder: Path) -> Iterator[str]:
    with _uvicorn(str(HEAVY), "llmock.main:app", folder) as url:
        yield url


@contextmanager
def _litellm(folder: Path) -> Iterator[str]:
    with _llmock(folder) as upstream:
        models = [
            {"model_name": name, "litellm_params": {"model": model, "api_base": upstream + path, "api_key": KEY}}
            for name, (model, path) in UPSTREAM.items()
        ]
        config = folder / "litellm.yaml"
        config.write_text(json.dumps({"model_list": models, "router_settings": {"disable_cooldowns": True}}))
        # Without a look for prices in the internet, and without a report of its use.
        apart = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_MASTER_KEY": KEY}
        with _uvicorn(
            str(HEAVY), "litellm.proxy.proxy_server:app", folder, CONFIG_FILE_PATH=str(config), **apart
        ) as url:
            for name in UPSTREAM.keys() - {"embedding"}:
                _answered(
                    f"{url}/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi."}]}
                )
            yield url


def _answered(url: str, body: object) -> None:
    """Wait until a server has answered a completion: how long our own client waits is for later ones."""
    headers = {"Authorization": f"Bearer {KEY}"}
    httpx2.post(url, json=body, headers=headers, timeout=STARTS_S).raise_for_status()


@contextmanager
def _uvicorn(python: str, app: str, folder: Path, **env: str) -> Iterator[str]:
    """Run an application on a socket that listens already, and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / "server.log").open("ab") as log:
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [python, "-m", "uvicorn", app, "--fd", str(fd), "--log-level", "warning"]
        # Nothing of our environment: a LiteLLM that finds a DATABASE_URL wants to store its keys there.
        apart = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
        process = subprocess.Popen(command, pass_fds=[fd], cwd=folder, env=apart, stdout=log, stderr=subprocess.STDOUT)
    try:
        # Whatever it answers: it has started. One that has died refuses.
        httpx2.get(f"http://127.0.0.1:{port}/", timeout=STARTS_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


Opens = Callable[[str], str]
