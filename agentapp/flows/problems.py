"""What is wrong with a workflow kind, in sentences, before a task of it begins."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import InvalidPlan
from agentapp.flows.plans import input_schema, path_of
from agentapp.flows.stages import RUN_TASK, TASK_KIND, Decision, FanOut, Flow, Stage, Step, When

# A task has room for so many stages, all rounds of its loops counted.
MOST_STAGES = 30_000


def check(flow: Flow) -> list[str]:
    """Return what is wrong with a flow, in sentences: unknown job types, unbound or unknown parameters, bindings to
    stages that are not before."""
    where = f"{flow.kind} v{flow.version}"
    problems: list[str] = []
    if flow.input.model_config.get("extra") != "forbid":
        problems.append(
            f"{where}: its input must forbid surplus fields, or they are lost unseen: "
            'set model_config = ConfigDict(extra="forbid").'
        )
    problems += _check_schema(where, flow) + _check_names(where, flow)
    seen = {"input"}
    later = {stage.name for stage in flow.stages}
    for stage in flow.stages:
        problems += _check_stage(f"{where}, stage {stage.name}", stage, seen, later)
        problems += _check_skipped(f"{where}, stage {stage.name}", stage, flow)
        if stage.repeat and stage.repeat.at_most * len(flow.stages) > MOST_STAGES:
            problems.append(
                f"{where}, stage {stage.name}: at_most {stage.repeat.at_most} is more than a task can hold."
            )
        seen.add(stage.name)
    if flow.conversation and flow.conversation.turn not in later:
        problems.append(f"{where}: messages are read by {flow.conversation.turn}, which is not one of its stages.")
    for name, binding in flow.result.items():
        problems += _check_path(f"{where}, result {name}", binding, seen, seen)
    return problems


def _check_schema(where: str, flow: Flow) -> list[str]:
    try:
        input_schema(flow)
    except pydantic.PydanticInvalidForJsonSchema as error:
        said = f"{where}: its input cannot be described to clients as JSON Schema"
        return [f"{said}: {error.message}. Use Annotated[..., AfterValidator(...)], or WithJsonSchema."]
    return []


def _check_names(where: str, flow: Flow) -> list[str]:
    """A binding finds a stage by its name."""
    names = Counter(stage.name for stage in flow.stages)
    unusable = [name for name in names if name == "input" or not name or len(name) > 100 or set(name) & set(".?")]
    return [
        f"{where}: {times} stages have the name {name}. Give each a name=... of its own."
        for name, times in names.items()
        if times > 1
    ] + [f"{where}: a stage cannot have the name {name!r}, because a binding could not mean it." for name in unusable]


def _check_stage(where: str, stage: Stage, seen: set[str], later: set[str]) -> list[str]:
    problems: list[str] = []
    for name, binding in stage.bind.items():
        problems += _check_path(f"{where}, {name}", binding, seen, later)
    if stage.when:
        problems += _check_condition(f"{where}, when", stage.when, seen, later)
    problems += _check_way_back(where, stage, seen, later)
    if isinstance(stage, Decision):
        missing = sorted({"content", "content_sha256"} - set(stage.bind))
        problems += [f"{where}: a person decides on {name}, which is not bound." for name in missing]
        if stage.on_reject not in ("end", "continue"):
            problems.append(f"{where}: on_reject is end or continue, not {stage.on_reject}.")
        return problems
    if isinstance(stage, FanOut):
        problems += _check_path(f"{where}, over", stage.over, seen, later)
        problems += _check_width(where, stage)
    else:
        problems += _check_sets(where, stage, seen, later)
    return problems + _check_parameters(where, stage)


def _check_path(where: str, binding: Any, seen: set[str], later: set[str]) -> list[str]:
    path = path_of(binding)
    if "const" in path or path["from"] in seen:
        return []
    # In a loop a stage may read the output of a later one, of the round before; on the first round it is null.
    if path["optional"] and path["from"] in later:
        return []
    return [f"{where}: {path['from']} is not a stage before it; write input.<field> or an earlier stage's name."]


def _check_condition(where: str, when: When, seen: set[str], later: set[str]) -> list[str]:
    if "const" in path_of(when.path):
        return [f"{where}: a condition reads a path such as classify_ticket.risk, not {when.path!r}."]
    return _check_path(where, when.path, seen, later)


def _check_way_back(where: str, stage: Stage, seen: set[str], later: set[str]) -> list[str]:
    problems = []
    if stage.repeat:
        problems += _check_condition(f"{where}, repeat", stage.repeat.when, seen | {stage.name}, later)
        if stage.repeat.at_most < 1:
            problems.append(f"{where}: it must go back at least once, at_most >= 1, or not repeat.")
    targets = [stage.repeat.back_to if stage.repeat else None]
    if isinstance(stage, Decision):
        targets += [stage.back_to, stage.refresh_from]
    return problems + [
        f"{where}: it goes back to {target}, which is not a stage before it."
        for target in targets
        if target is not None and target not in (seen | {stage.name}) - {"input"}
    ]


def _check_skipped(where: str, stage: Stage, flow: Flow) -> list[str]:
    """What a skipped stage came to is null: who needs it must have a condition of its own, or a default."""
    skipped = {other.name for other in flow.stages if other.when}
    needed = dict(stage.bind)
    if isinstance(stage, Decision):
        needed = {name: path for name, path in needed.items() if name in ("content", "content_sha256")}
    elif known := registry.job_types.get(stage.job_type):
        needed = {name: path for name, path in needed.items() if name in known.required}
    if isinstance(stage, FanOut):
        needed["over"] = stage.over
    return [
        f"{where}, {name}: {path_of(path)['from']} may be skipped, and then nothing is bound. Give the parameter a "
        "default, or this stage a condition."
        for name, path in needed.items()
        if stage.when is None and path_of(path).get("from") in skipped
    ]


def _check_width(where: str, stage: FanOut) -> list[str]:
    problems = []
    over = path_of(stage.over)
    if "const" in over and not isinstance(over["const"], list):
        problems.append(f"{where}: it fans out over {over['const']!r}, which is no list.")
    problems += [
        f"{where}: its tool and its queue are keys of the elements, not {key!r}."
        for key in (stage.tool, stage.queue)
        if key is not None and not (isinstance(key, str) and key)
    ]
    if stage.join.rule == "at_least" and stage.join.n < 1:
        problems.append(f"{where}: its join must need at least one part, n >= 1.")
    return problems


def _check_sets(where: str, stage: Step, seen: set[str], later: set[str]) -> list[str]:
    """What a step changes of its workflow."""
    problems = [
        f"{where}: an output sets the priority or the risk of its workflow, not {name}."
        for name in sorted(set(stage.sets) - {"priority", "risk"})
    ]
    for name, binding in stage.sets.items():
        problems += _check_path(f"{where}, sets {name}", binding, seen | {stage.name}, later)
    return problems


def _check_parameters(where: str, stage: Step | FanOut) -> list[str]:
    try:
        job_type = registry.job_type(stage.job_type)
    except InvalidPlan as error:
        return [f"{where}: {error}"]
    if stage.job_type == RUN_TASK:
        return _check_child(where, stage)
    bound = set(stage.bind) | ({stage.each} if isinstance(stage, FanOut) else set())
    unknown = sorted(bound - set(job_type.schema.model_fields))
    unbound = sorted(job_type.required - bound)
    return [f"{where}: {name} is not a parameter of {stage.job_type}." for name in unknown] + [
        f"{where}: the parameter {name} of {stage.job_type} is not bound." for name in unbound
    ]


def _check_child(where: str, stage: Step | FanOut) -> list[str]:
    """A task of a task has a kind whose input is bound, and never one that leads back to itself."""
    if isinstance(stage, FanOut):
        return [f"{where}: a task is a stage of its own, child_task(...), and no part of a fan-out."]
    kind = _kind_of(stage)
    child = registry.latest_flow(kind)
    if child is None:
        return [f"{where}: there is no task kind {kind!r}."]
    fields = child.input.model_fields
    bound = set(stage.bind) - {TASK_KIND}
    required = {name for name, field in fields.items() if field.is_required()}
    problems = [f"{where}: {name} is no field of the input of {kind}." for name in sorted(bound - set(fields))]
    problems += [f"{where}: the field {name} of {kind} is not bound." for name in sorted(required - bound)]
    if TASK_KIND in fields:
        problems.append(f"{where}: {kind} cannot be run by a task, because its input has a field {TASK_KIND}.")
    if kind in _kinds_run_by(kind, set()):
        problems.append(f"{where}: {kind} runs tasks that run {kind}, without end.")
    return problems


def _kind_of(stage: Stage) -> str:
    return str(path_of(stage.bind.get(TASK_KIND)).get("const"))


def _kinds_run_by(kind: str, seen: set[str]) -> set[str]:
    """Add the kinds of all tasks that one of this kind runs, and that these run."""
    flow = registry.latest_flow(kind)
    for stage in flow.stages if flow else ():
        if isinstance(stage, Step) and stage.job_type == RUN_TASK and (found := _kind_of(stage)) not in seen:
            seen.add(found)
            _kinds_run_by(found, seen)
    return seen
