"""Which package may import which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.structure.source import Module, Violation, imports

RULE = "layers"


def check(
    module: Module,
    *,
    layers: Sequence[frozenset[str]],
    islands: frozenset[str],
    tasks_may_use: frozenset[str],
    homes: Mapping[str, tuple[str, ...]],
) -> Iterator[Violation]:
    """Report imports that go up, sideways into an island, or to a library outside of its home.

    `layers` are the parts of agentapp from the bottom up; parts of one layer may use each other. `islands` import
    nothing of the rest and nothing imports them. `homes` says for a library which places may import it.
    """
    floor = {name: level for level, names in enumerate(layers) for name in names}
    for node, name in imports(module):
        top, _, rest = name.partition(".")
        if top in homes and not module.stands_in(*homes[top]):
            yield module.breaks(RULE, node, f"{top} is imported in {' and '.join(homes[top])} alone.")
        elif top in {"tests", "bench"}:
            yield module.breaks(RULE, node, f"{name} belongs to the tests; the product does without it.")
        elif top == "config" and module.parts[0] != "config":
            yield module.breaks(RULE, node, "config is the composition root: read settings through agentapp.conf.")
        elif top == "tasks" and module.parts[0] == "agentapp":
            yield module.breaks(RULE, node, "agentapp knows job types through agentapp.registry only.")
        elif top == "agentapp" and rest:
            problem = _inside(module, rest.partition(".")[0], floor, islands, tasks_may_use)
            if problem:
                yield module.breaks(RULE, node, problem)


def _inside(
    module: Module, theirs: str, floor: Mapping[str, int], islands: frozenset[str], tasks_may_use: frozenset[str]
) -> str:
    if module.parts[0] == "tasks":
        allowed = ", ".join(sorted(tasks_may_use))
        return "" if theirs in tasks_may_use else f"tasks/ may not use agentapp.{theirs}, only {allowed}."
    if module.parts[0] != "agentapp":
        return ""
    mine = part_of(module)
    if mine == theirs:
        return ""
    if mine in islands or theirs in islands:
        return f"{mine} may not import {theirs}: {mine if mine in islands else theirs} stands alone."
    unknown = [name for name in (mine, theirs) if name not in floor]
    if unknown:
        return f"agentapp.{unknown[0]} stands in no layer: give it one in tests/test_architecture.py."
    if floor[theirs] > floor[mine]:
        return f"{mine} imports {theirs}, which is above it. Move the code down, or hand the value in as an argument."
    return ""


def part_of(module: Module) -> str:
    """Return the part of agentapp that a file belongs to: a package, or the file itself."""
    return module.parts[1].removesuffix(".py")
