"""The offline model server as a process of its own, which tests tell to fail, to be slow, or what to answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from agentapp.client.connections import LIMITS

# Where agentapp stands: the process finds it there, whatever the directory of the tests.
_ROOT = Path(__file__).resolve().parents[2]


class OfflineModel:
    """`python -m agentapp.offline_model --control` on a free port; `url` ends in /v1."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "agentapp.offline_model", "--control", "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]
        self.http = httpx2.Client(base_url=self.url.removesuffix("/v1"), timeout=60, limits=LIMITS)

    def __enter__(self) -> OfflineModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def fail(self, fault: str, **rule: Any) -> None:
        """Make the next request fail; `match`, `times`, `share`, `status`, `headers` and so on as in control.Rule."""
        answer = self.http.post("/_control/faults", json=[{"fault": fault, **rule}])
        assert answer.status_code == 200, answer.text

    def limit(self, **limits: float | None) -> None:
        """Enforce `requests_per_min` and `burst`, `tokens_per_min` and `token_burst`, or what there is of them."""
        answer = self.http.put("/_control/limits", json=limits)
        assert answer.status_code == 200, answer.text

    def reset(self) -> None:
        """Forget faults, limits, speed and remembered requests."""
        self.http.delete("/_control/faults")
        self.http.delete("/_control/limits")
        self.http.delete("/_control/requests")
        self.set_speed(latency_s=0, tokens_per_s=0)

    def set_speed(self, *, latency_s: float, tokens_per_s: float) -> None:
        """Make the model slow: seconds before the first token, tokens per second after it."""
        self.http.post("/_control/speed", json={"latency_s": latency_s, "tokens_per_s": tokens_per_s})

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests since the last reset, as {"number", "path", "body", "at_s", "status"}."""
        seen: list[dict[str, Any]] = self.http.get("/_control/requests").json()["requests"]
        return seen

    def chat(self, content: str, **body: Any) -> dict[str, Any]:
        """Ask one user message and return the completion."""
        answer = self.http.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": content}], **body}
        )
        assert answer.status_code == 200, answer.text
        completion: dict[str, Any] = answer.json()
        return completion

    def say(self, content: str, **body: Any) -> str:
        """Ask one user message and return the text of the answer."""
        text: str = self.chat(content, **body)["choices"][0]["message"]["content"]
        return text

    def fill(self, schema: dict[str, Any], content: str, *, name: str = "answer") -> Any:
        """Ask for a structured answer and return it."""
        wanted = {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}
        return json.loads(self.say(content, response_format=wanted))
