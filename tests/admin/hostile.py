"""Hostile texts in all that clients, customers, models and people fill, and what a page must not do with them. [G6]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, Field, JSONField, Model, TextField
from playwright.sync_api import Dialog, Page, Request

from agentapp import models
from tests.admin.right_to_left import ARABIC
from tests.browser import resize

# What becomes an element, or leaves a string, a title or a script, has this attribute, whether it runs or not.
MARK = "hacked"
CORPUS = (
    "<script hacked>window.hacked=1</script>",
    "<img hacked src=//evil.test onerror=hacked=1>",
    "<svg hacked onload=hacked=1>",
    "javascript:hacked=1",
    '" hacked autofocus onfocus="hacked=1',
    "' hacked autofocus onfocus='hacked=1",
    "</textarea><b hacked>",
    "</title><b hacked>",
    "</script><b hacked>",
    "</style></pre><base hacked href=//evil.test>",
    "<!--",
    "{{ 600700600|add:1 }}{% debug %}",
    "\u202elive",
    ARABIC,
    "\U0001f9d1\u200d\U0001f680" * 5,
)
SUM = "600700601"
ADDRESS = f"{'a' * 64}@{'b' * 60}.test"
LONG = f"{ARABIC} {' '.join(CORPUS)} {ADDRESS} {'W' * 20_000}"
WIDTHS = (390, 1280)

# Columns of text and of JSON, by who fills them. What is one of a few choices, or a hash, is neither.
FILLABLE: dict[type[Model], str] = {
    models.Tenant: "name", models.ApiKey: "name", Group: "name", User: "username first_name last_name email",
    LogEntry: "object_repr",
    models.Workflow: "input result error labels notices callback_url", models.Stage: "output",
    models.Job: "payload output error checkpoint model tool",
    models.Approval: "summary content draft sources evaluation reason", models.ApprovalVote: "reason",
    models.ApprovalPolicy: "name note kind", models.Artifact: "name", models.AuditEntry: "actor target",
    models.Attempt: "error_class error_message trace",
    models.BulkCancellation: "selection actor reason task_reason", models.BulkReplay: "selection actor reason",
    models.Document: "source title collection error", models.Chunk: "heading text",
    models.DrillReport: "answers", models.Effect: "response unfinished",
    models.Gate: "pattern note", models.GateChange: "actor target before after reason",
    models.Limit: "name mode_by mode_reason", models.History: "actor reason data",
    models.IdempotencyKey: "key", models.LegalHold: "customer label_name label_value reason placed_by",
    models.Memory: "about text written_by", models.MemoryChange: "actor", models.Message: "text actor",
    models.ModelCall: "model asked_model fallback_of error_class answer exchange",
    models.ModelCapability: "base_url model learned",
    models.ModelChoice: "job_type model base_url limit_name fallback_model fallback_base_url fallback_limit_name note",
    models.Reply: "message_id sender subject text actor", models.RetentionRule: "kind note",
    models.SavedView: "name query", models.Schedule: "name input labels paused_reason",
    models.ScheduleRun: "reason", models.ToolServer: "name url note problems",
    models.ServerTool: "name offered_name description schema decided_by",
    models.WebhookEndpoint: "url description disabled_reason", models.WebhookDelivery: "url payload log",
}  # fmt: skip
# Names that this code, a package or the installation gives, and what is checked against a pattern.
OURS: dict[type[Model], str] = {
    models.Tenant: "slug tier", models.ApiKey: "prefix scopes", User: "password",
    LogEntry: "object_id change_message", models.Workflow: "kind result_bind traceparent",
    models.Stage: "name job_type spec", models.Job: "type queue blocked_by worker",
    models.Approval: "ask_key policy", models.ApprovalPolicy: "approvers escalate_to",
    models.Artifact: "media_type", models.Attempt: "worker", models.AuditEntry: "action source source_key link",
    models.BulkCancellation: "waiting", models.BulkReplay: "waiting replayed", models.Document: "media_type",
    models.Chunk: "embedding_model next_model", models.Effect: "key type", models.Gate: "tier",
    models.GateChange: "action", models.Limit: "key scope", models.History: "noun from_state to_state",
    models.Memory: "embedding_model next_model", models.MemoryChange: "action", models.ModelCall: "prompts",
    models.ModelChoice: "key_variable fallback_key_variable", models.SavedView: "page",
    models.Schedule: "kind cron timezone", models.ToolServer: "key_variable",
    models.WebhookEndpoint: "events format", models.WebhookEvent: "type",
    models.PrunedTasks: "kind state", models.Sample: "key", models.QuarterSample: "key", models.Total: "key seen",
    models.DatabaseRole: "name queues", models.DispatcherLease: "holder report",
    models.Worker: "name pool queues counts", models.RequestCount: "counts",
    models.Restore: "cluster timeline actor report",
    models.SearchCursor: "seen until after_xid", models.Erasure: "about_hash actor removed",
}  # fmt: skip
# Objects whose names are of who fills them too, and what says within an object how it is read.
OPEN = {"input", "result", "payload", "output", "labels"}
STRUCTURE = {"kind", "role", "type"}

# What a page made of them: elements, attributes, links that run, a title, a sum of a template.
_MADE = f"""() => [
  ...[...document.querySelectorAll("[{MARK}]")].map((element) => element.outerHTML.slice(0, 160)),
  ...[...document.querySelectorAll("[href], [src], [action], [formaction]")].filter((element) =>
    ["href", "src", "action", "formaction"].some((name) => /^\\s*javascript:/i.test(element.getAttribute(name) ?? "")))
    .map((element) => element.outerHTML.slice(0, 160)),
  ...(window.{MARK} === undefined ? [] : ["a script ran"]),
  ...(document.documentElement.outerHTML.includes("{SUM}") ? ["a template was rendered"] : []),
  ...(/^(ran|\\s*)$/.test(document.title) ? ["its title was changed"] : []),
]"""

# What sticks out of the window, innermost first; none where the page need not be scrolled aside.
_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [`${document.documentElement.scrollWidth} px wide in a window of ${innerWidth} px`,
   ...[...document.querySelectorAll("body *")].filter((element) => !element.closest(".scroll *")
     && element.getBoundingClientRect().right > innerWidth + 1 && element.checkVisibility()).reverse()
     .slice(0, 3).map((element) => element.outerHTML.slice(0, 160))]"""


def texts(model: type[Model]) -> Iterator[Field[Any, Any]]:
    """The columns of a table that hold text, but for choices and hashes."""
    for field in model._meta.concrete_fields:
        of_words = isinstance(field, ArrayField) and isinstance(field.base_field, CharField | TextField)
        is_text = isinstance(field, CharField | TextField | JSONField) or of_words
        if is_text and not field.choices and not field.name.endswith("sha256"):
            yield field


def write(turn: int = 0) -> None:
    """Write them into every row; each turn puts another of the corpus into a short column."""
    number = turn
    for model, names in FILLABLE.items():
        for row in model._default_manager.values("pk", *names.split()):
            number += 1
            values = {}
            for at, name in enumerate(names.split()):
                field = model._meta.get_field(name)
                values[name] = _filled(field, row[name], number + at)
            model._default_manager.filter(pk=row["pk"]).update(**values)


def _filled(field: Any, value: Any, number: int) -> Any:
    if not isinstance(field, JSONField):
        return of_length(field.max_length, number)
    if value is None or not field.name.endswith(tuple(OPEN)):
        return _replaced(value, number)
    return {of_length(50, number): of_length(100, number + 1), **_replaced(value, number)}


def _replaced(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {name: each if name in STRUCTURE else _replaced(each, number) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, number) for each in value]
    return of_length(None, number) if isinstance(value, str) else value


def of_length(length: int | None, number: int) -> str:
    """A text of the corpus that fills a column to its last letter, without a blank."""
    if length is None:
        return f"{LONG}{number}"
    fitting = [each for each in CORPUS if len(each) + 6 <= length]
    text = fitting[number % len(fitting)]
    return text + f"{number}".rjust(length - len(text), "W")


class Watch:
    """What a tab asks for and opens, beside its own service."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.found: list[str] = []
        self.own = (url, "data:", "blob:")
        page.on("dialog", self._close)
        page.on("request", self._look)

    def _close(self, dialog: Dialog) -> None:
        self.found.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _look(self, request: Request) -> None:
        if not request.url.startswith(self.own):
            self.found.append(f"asked for {request.url}")

    def faults(self) -> list[str]:
        """Return what is wrong with the page that is open, and whether it must be scrolled aside."""
        found = [*self.found, *self.page.evaluate(_MADE)]
        self.found.clear()
        for width in WIDTHS:
            resize(self.page, width)
            if wide := self.page.evaluate(_WIDE):
                found.append("\n    ".join(wide))
        return found
