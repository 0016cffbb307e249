"""The demo: five questions about this project's own documentation, from POST to a mail that a person approved."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any, TypeVar

from agentapp.client import Client, Refused, Unreachable
from agentapp.client.shapes import OVER
from agentapp.policies.counting import count
from agentapp.retrieval import chunking

# Sample questions. The second asks two things at once, which the first draft of a small model does not see; the last
# is not answered anywhere in the documentation.
QUESTIONS = (
    "What happens to a running job when its worker process is killed?",
    "How long does a failed job wait before it is tried again? And which process alone holds the mail credentials?",
    "How do I add a job type of my own?",
    "What is a dead letter, and how is it replayed?",
    "Which stadium hosts the next football world cup final?",
)
# Apart from what the people of the stack load, so that no customer is answered from our documentation.
COLLECTION = "agentapp"
MOVING = ("pending", "running")
T = TypeVar("T")
AWAY_AT_MOST_S = 60


@dataclass
class Asked:
    """A question and what is known of its task."""

    number: int
    question: str
    email: str
    id: str = ""
    state: str = "submitted"
    jobs: list[dict[str, Any]] = field(default_factory=list)
    approval: dict[str, Any] | None = None
    decided: set[str] = field(default_factory=set)
    seen: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Summary:
    submitted: int
    completed: int
    mails: int
    duplicates: int

    @property
    def is_good(self) -> bool:
        return self.submitted == self.completed == self.mails and self.duplicates == 0

    def __str__(self) -> str:
        return (
            f"demo: {self.submitted} submitted, {self.completed} completed, {count(self.mails, 'mail')}, "
            f"{count(self.duplicates, 'duplicate')}"
        )


class AlreadyDecided(Exception):
    """An earlier answer was lost on its way, or a person was faster."""


class Demo:
    """One run against a stack; `stack` is what stack.json says."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._client = Client(stack["url"], stack["api_key"])
        self._approver = Client(stack["url"], stack["approver_api_key"])
        self._outbox = Path(stack["mail_dir"])
        self._run = secrets.token_hex(3)
        # A recipient of its own for each question: that is how duplicates are counted.
        self.asked = [
            Asked(number, question, f"reader-{number}.{self._run}@sample.test")
            for number, question in enumerate(QUESTIONS, 1)
        ]

    def load(self, folder: Path) -> int:
        """Load every Markdown file below `folder` into the knowledge base, and return how many."""
        paths = sorted(folder.rglob("*.md"))
        for path in paths:
            # As `manage.py load_documents` names them: loaded again, they are the same documents.
            source, text = path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")
            title = chunking.first_heading(text) or path.stem
            text_of_it = {"source": source, "title": title, "text": text, "collection": COLLECTION}
            patiently(self._client.write, "/documents", text_of_it)
        return len(paths)

    def submit(self) -> None:
        for item in self.asked:
            subject = item.question if len(item.question) <= 100 else f"{item.question[:97]}..."
            content = {
                "subject": subject, "body": item.question, "customer_email": item.email, "collection": COLLECTION,
            }  # fmt: skip
            item.id = patiently(self._client.submit, "support_reply", content, labels={"demo": self._run})["id"]

    def look(self) -> None:
        """Ask the API how far the tasks are: one list of tasks, one of approvals, and the jobs of those that moved."""
        tasks = patiently(self._client.read, "/tasks", label=f"demo:{self._run}")["results"]
        states = {task["id"]: (task["state"], task["progress"]) for task in tasks}
        pending = patiently(self._approver.read, "/approvals", state="pending", limit="200")["results"]
        asked_for = {approval["task"]: approval for approval in pending}
        for item in self.asked:
            seen = states[item.id]
            item.approval = asked_for.get(item.id)
            if seen != item.seen or seen[0] in MOVING:
                item.seen, item.state = seen, seen[0]
                item.jobs = patiently(self._client.read, f"/tasks/{item.id}/jobs", limit="200")["results"]

    def approve(self) -> None:
        """Approve over the API whatever waits for a person."""
        for item in self.asked:
            if item.approval and item.approval["id"] not in item.decided:
                decision = {"decision": "approve", "content_sha256": item.approval["content_sha256"]}
                with contextlib.suppress(AlreadyDecided):
                    patiently(self._approver.write, f"/approvals/{item.approval['id']}/decision", decision)
                item.decided.add(item.approval["id"])

    @property
    def is_over(self) -> bool:
        return all(item.state in OVER for item in self.asked)

    @property
    def waits_for_a_person(self) -> bool:
        """Tell whether nothing moves until somebody decides."""
        return not self.is_over and all(
            item.state in (*OVER, "awaiting_approval", "needs_attention") for item in self.asked
        )

    def summary(self) -> Summary:
        """Count what happened: tasks by the API, mails by the files of the outbox."""
        ours = {item.email for item in self.asked}
        recipients = [message_from_bytes(path.read_bytes())["To"] for path in self._outbox.glob("*.eml")]
        sent = [recipient for recipient in recipients if recipient in ours]
        completed = [item for item in self.asked if item.state == "completed"]
        return Summary(len(self.asked), len(completed), len(set(sent)), len(sent) - len(set(sent)))


def patiently(ask: Callable[..., T], *args: Any, **more: Any) -> T:
    """Ask again for up to a minute while the web restarts or a server is away; any other refusal is raised at once."""
    deadline = time.monotonic() + AWAY_AT_MOST_S
    while True:
        try:
            return ask(*args, **more)
        except (Unreachable, Refused) as error:
            away = isinstance(error, Unreachable) or error.status == 503
            if isinstance(error, Refused) and error.status == 409:
                raise AlreadyDecided from error
            if not away or time.monotonic() > deadline:
                raise
        time.sleep(0.5)
