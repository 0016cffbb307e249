"""Ask a question of your own: submit it over HTTP, watch it, read the draft."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from agentapp import clock, conf
from agentapp.client import Approval, Client, Job, Refused, Task, Unreachable
from agentapp.errors import NotFound
from agentapp.local.home import read_stack
from agentapp.local.seed import TENANT
from agentapp.policies import polling
from agentapp.services import api_keys, tenants

POLL_S = 0.3
LONGEST_CALL_S = 30.0


class Command(BaseCommand):
    requires_system_checks = []  # they load every address, which takes a second
    help = "Submit a question as a support_reply to the stack that runs here, show its progress and the draft."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--tenant", default=TENANT, help="whose documents answer (default: %(default)s)")
        parser.add_argument("--email", default="customer@example.org", help="where the reply goes once it is approved")
        parser.add_argument("--no-wait", action="store_true", help="only submit and print the id")
        parser.add_argument("--timeout-s", type=float, default=180, help="ask and watch for this many seconds")

    def handle(self, *args: Any, question: str, tenant: str, email: str, **options: Any) -> None:
        stack = read_stack(conf.home())
        if "url" not in stack:
            raise CommandError(f"No stack runs on {conf.home()}. Start one in another terminal: make up")
        if not question.strip():
            raise CommandError("Write the question behind the command, in quotes.")
        client = Client(
            stack["url"], self._key(stack, tenant), timeout_s=min(LONGEST_CALL_S, max(1.0, options["timeout_s"]))
        )
        try:
            task = self._submit(client, question.strip(), email)
            if options["no_wait"]:
                return
            task = self._watch(client, task, within_s=options["timeout_s"])
            self._show(client, task, url=stack["url"])
        except Unreachable as error:
            raise CommandError(f"{error} Does the stack still run? Start it with: make up") from error
        except Refused as error:
            raise CommandError(str(error)) from error

    def _key(self, stack: dict[str, Any], slug: str) -> str:
        """Return the stack's own key, or for another tenant one that is good for an hour."""
        if slug == TENANT:
            return str(stack["api_key"])
        try:
            tenant = tenants.get(slug)
        except NotFound as error:
            raise CommandError(str(error)) from error
        scopes = ["tasks:write", "tasks:read", "approvals:read"]
        expires_at = clock.now() + timedelta(hours=1)
        return api_keys.create(tenant=tenant, name="manage.py ask", scopes=scopes, expires_at=expires_at)[1]

    def _submit(self, client: Client, question: str, email: str) -> Task:
        first_line = question.splitlines()[0]
        subject = first_line if len(first_line) <= 100 else f"{first_line[:97]}..."
        content = {"subject": subject, "body": question, "customer_email": email}
        task = client.submit("support_reply", content, labels={"from": "ask"})
        self.stdout.write(f"Task {task['id']} is accepted.")
        return task

    def _watch(self, client: Client, task: Task, *, within_s: float) -> Task:
        """Print each job as it changes until the task is at rest; return the task."""
        shown: set[tuple[str, str]] = set()
        deadline = time.monotonic() + within_s
        while True:
            task = client.get(task["id"])
            for job in client.jobs(task["id"]):
                self._show_job(job, shown)
            if task["state"] in polling.AT_REST:
                return task
            if time.monotonic() > deadline:
                raise CommandError(
                    f"The task is still {task['state']} after {within_s:g} s ({_waiting(task)}). It goes on without "
                    f"us: GET /tasks/{task['id']} tells more, and so do the logs under {conf.home() / 'logs'}."
                )
            time.sleep(POLL_S)

    def _show_job(self, job: Job, shown: set[tuple[str, str]]) -> None:
        if job["state"] in ("pending", "available", "scheduled") or (job["id"], job["state"]) in shown:
            return
        shown.add((job["id"], job["state"]))
        error = f": {job['error']['message']}" if job["error"] and job["state"] != "completed" else ""
        self.stdout.write(f"  {job['type']:<24}{job['state']}{error}")

    def _show(self, client: Client, task: Task, *, url: str) -> None:
        if task["state"] in ("needs_attention", "failed"):
            where = url + reverse("admin:agentapp_workflow_change", args=[task["id"]])
            message = (task["error"] or {}).get("message") or _waiting(task)
            raise CommandError(f"The task is {task['state'].replace('_', ' ')}: {message}. Look at {where}")
        for approval in client.approvals(task=task["id"], state="pending"):
            self._show_approval(approval, url=url)
        if task["state"] != "awaiting_approval":
            self.stdout.write(f"The task is {task['state']}: {task['result']}")

    def _show_approval(self, approval: Approval, *, url: str) -> None:
        content = approval["content"]
        self.stdout.write(f"\nTo:      {content['to']}\nSubject: {content['subject']}\n\n{content['body']}\n")
        for source in approval["sources"]:
            self.stdout.write(f"  [{source['n']}] {source['title']} ({source['source']})")
        if approval["evaluation"]:
            self.stdout.write(f"  score {approval['evaluation'].get('score')}, risk {approval['risk']}")
        page = url + reverse("admin:agentapp_approval_change", args=[approval["id"]])
        self.stdout.write(f"\nNothing is sent before somebody approves it: {page}")


def _waiting(task: Task) -> str:
    """Say in words what a task waits for."""
    return ", ".join(str(item.get("type", item)) for item in task["blocked_by"]) or "it waits for nothing"
