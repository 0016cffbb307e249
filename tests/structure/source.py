"""Source files as the checkers see them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Violation:
    """One broken rule. `str()` is what a person reads: where, which rule, what to do."""

    rule: str
    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.sentence}"


@dataclass(frozen=True)
class Module:
    """A Python file under the path that it has in the checkout, or pretends to have.

    It is parsed when a checker asks for its tree: several ask for its text or its path alone.
    """

    path: str
    text: str

    @classmethod
    def of(cls, path: str, text: str) -> Module:
        return cls(path, text)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree: a dozen checkers walk through it."""
        return list(ast.walk(self.tree))

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parts

    @property
    def package(self) -> list[str]:
        """The package that relative imports start from, as a list of names."""
        return list(self.parts[:-1])

    def breaks(self, rule: str, node: ast.AST, sentence: str) -> Violation:
        return Violation(rule, self.path, getattr(node, "lineno", 1), sentence)

    def stands_in(self, *places: str) -> bool:
        """Tell whether the file is one of `places`, or below one that ends with a slash."""
        return any(self.path.startswith(place) if place.endswith("/") else self.path == place for place in places)


def modules(*folders: str, root: Path = ROOT) -> list[Module]:
    """Read every Python file below the folders, migrations apart: those are generated."""
    found: list[Module] = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            if "/migrations/" not in relative:
                found.append(_read(path, relative))
    return found


@cache
def _read(path: Path, relative: str) -> Module:
    """Once in a process: many checkers ask for the same tree."""
    return Module.of(relative, path.read_text(encoding="utf-8"))


def imports(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield every dotted name that a file imports, wherever it does so: in functions and for type checkers too."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            package = module.package[: len(module.package) - node.level + 1] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__", "import_string"}:
            texts = [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
            yield from ((node, text) for text in texts if isinstance(text, str))


def called(node: ast.Call) -> str:
    """Return the last name of what is called: `save` of `job.save()`."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def receiver(node: ast.Call) -> str:
    """Return the last name of what a method is called on: `job` of `self.job.save()`, `objects` of
    `Job.objects.create()`, `filter` of `jobs.filter().update()`."""
    if not isinstance(node.func, ast.Attribute):
        return ""
    value = node.func.value
    if isinstance(value, ast.Call):
        return called(value)
    if isinstance(value, ast.Attribute):
        return value.attr
    return value.id if isinstance(value, ast.Name) else ""
