"""What only one place may do: write states, speak SQL, catch everything, decide about retries."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.source import Module, Violation, called, imports, receiver

# Nouns whose rows only moves may write, as variables are named and as classes.
NOUNS = ("job", "workflow", "task", "approval", "effect", "stage", "attempt", "history")
WRITES = frozenset({"create", "bulk_create", "get_or_create", "update_or_create", "bulk_update"})
SQL_CALLS = frozenset({"execute", "executemany", "cursor", "raw", "extra", "RawSQL", "RunSQL"})
# Celery's own ways to repeat or delay. One pure function decides that here, and a row says when.
CELERY_RETRIES = frozenset({"autoretry_for", "retry_backoff", "countdown", "eta", "link", "link_error", "max_retries"})


def one_door_per_state(module: Module) -> Iterator[Violation]:
    """Report writes to a `state`, and `save()` or `create()` on a noun that has one."""
    rule, advice = "state", "Call a move of agentapp.lifecycle."
    for node in module.nodes:
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [item for target in targets for item in ast.walk(target)]
            if any(isinstance(item, ast.Attribute) and item.attr == "state" for item in names):
                yield module.breaks(rule, node, f"A state is assigned. {advice}")
        elif isinstance(node, ast.Call) and (problem := _writes_state(node)):
            yield module.breaks(rule, node, f"{problem} {advice}")


def _writes_state(node: ast.Call) -> str:
    name, on = called(node), receiver(node)
    if name in {"update", "aupdate"} and any(_names_state(keyword) for keyword in node.keywords):
        return "update() writes a state."
    if name == "setattr" and len(node.args) > 1 and _is_text(node.args[1], "state"):
        return "setattr() writes a state."
    if name == "bulk_update" and any(_is_text(item, "state") for argument in node.args for item in ast.walk(argument)):
        return "bulk_update() writes a state."
    if name in {"save", "asave"} and on.lower().rstrip("s").endswith(NOUNS):
        return f"{on}.save() writes the whole row over what moves have written."
    if name in WRITES and on == "objects" and _model(node).lower() in NOUNS:
        return f"{_model(node)}.objects.{name}() makes a row in a state."
    return ""


def _names_state(keyword: ast.keyword) -> bool:
    if keyword.arg is not None:
        return keyword.arg == "state"
    return isinstance(keyword.value, ast.Dict) and any(_is_text(key, "state") for key in keyword.value.keys)


def _is_text(node: ast.AST | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def _model(node: ast.Call) -> str:
    """Return `Job` of `Job.objects.create()` and of `models.Job.objects.create()`."""
    manager = node.func.value if isinstance(node.func, ast.Attribute) else None
    owner = manager.value if isinstance(manager, ast.Attribute) else None
    if isinstance(owner, ast.Attribute):
        return owner.attr
    return owner.id if isinstance(owner, ast.Name) else ""


def sql(module: Module) -> Iterator[Violation]:
    """Report SQL that is written by hand."""
    for node in module.nodes:
        # A batch of a broker's client is executed without an argument: SQL would be one.
        if isinstance(node, ast.Call) and called(node) in SQL_CALLS and (node.args or called(node) != "execute"):
            yield module.breaks("sql", node, f"{called(node)}() speaks SQL. It belongs into agentapp/lifecycle/.")


def catch_all(module: Module) -> Iterator[Violation]:
    """Report handlers that catch everything."""
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {kind.id if isinstance(kind, ast.Name) else "" for kind in kinds}
            if node.type is None or names & {"Exception", "BaseException"}:
                yield module.breaks("catch-all", node, "Catch only what you can act on, by its class.")
        elif isinstance(node, ast.Call) and called(node) == "caught" and _catches_bugs(node):
            yield module.breaks("catch-all", node, "Catch only the faults that you can act on; a bug must be seen.")


def _catches_bugs(node: ast.Call) -> bool:
    return any(
        isinstance(item, ast.Starred) or (isinstance(item, ast.Attribute) and item.attr == "BUG") for item in node.args
    )


def celery_retries(module: Module) -> Iterator[Violation]:
    """Report retries and delays that Celery would keep instead of a row."""
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        used = sorted({keyword.arg for keyword in node.keywords if keyword.arg} & CELERY_RETRIES)
        if called(node) in {"shared_task", "task", "apply_async", "signature", "s", "si", "set", "send_task"} and used:
            yield module.breaks("retry", node, f"{used[0]} is Celery's. Raise TransientError and let the row say when.")
        elif called(node) == "retry" and receiver(node) in {"self", "task", "current_task"}:
            yield module.breaks("retry", node, "retry() is Celery's. Raise TransientError and let the row say when.")


def signals(module: Module) -> Iterator[Violation]:
    """Report model signals and overridden `save`: work that nobody sees being called."""
    for node, name in imports(module):
        if name.startswith(("django.db.models.signals", "django.dispatch")):
            yield module.breaks("signals", node, "Call the function instead of sending a signal.")
    if module.path.startswith("agentapp/models/"):
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef) and node.name in {"save", "delete"}:
                yield module.breaks("signals", node, f"A model has no verbs: {node.name}() belongs into a move.")
