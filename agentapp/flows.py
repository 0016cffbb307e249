"""Workflow kinds as data: stages, fan-outs with a join rule, decisions, bounded loops. [C3]

A binding is a path: `input.body` reads the client's input, `classify_ticket.sources` the output of the latest closed
stage of that name, `retrieve_context` (a fan-out) the list of its parts' outputs. A trailing `?` makes it optional:
null when there is no such stage or key. Anything that is not a string is a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pydantic

from agentapp import conf, registry
from agentapp.errors import InvalidPlan

Binding = dict[str, Any]
JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Repeat:
    """Go back to `back_to` and come here again while this stage's output[field] equals `equals`, at most n times."""

    back_to: str
    field: str
    equals: Any
    at_most: int


@dataclass(frozen=True)
class Step:
    """One job."""

    job_type: str
    bind: Binding = field(default_factory=dict)
    repeat: Repeat | None = None
    # What the output changes of the workflow itself: {"priority": path, "risk": path}.
    sets: Binding = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.job_type


@dataclass(frozen=True)
class Join:
    """When a fan-out is done: every part completed, every part settled (dead letters too), or n completed."""

    rule: Literal["all", "settled", "at_least"] = "all"
    n: int = 0


@dataclass(frozen=True)
class FanOut:
    """One job for each element of the list that `over` leads to; the element is bound to the parameter `each`."""

    job_type: str
    over: Any
    each: str
    bind: Binding = field(default_factory=dict)
    join: Join = field(default_factory=Join)

    @property
    def name(self) -> str:
        return self.job_type


@dataclass(frozen=True)
class Decision:
    """A person decides; rows only. `bind` gives content, content_sha256, sources, evaluation and risk.

    A request for changes goes back to the stage `back_to` with the remark as this stage's output.
    """

    back_to: str
    bind: Binding
    name: str = "approval"


Stage = Step | FanOut | Decision


@dataclass(frozen=True)
class Flow:
    """A version of a workflow kind. `input` is the schema of what a client sends; `result` is bound at the end. `title`
    and `description` are for clients, who also get the schema as JSON Schema.

    `internal`: for the platform itself, such as its drill; to clients there is no such kind.
    """

    kind: str
    version: int
    input: type[pydantic.BaseModel]
    stages: tuple[Stage, ...]
    result: Binding = field(default_factory=dict)
    title: str = ""
    description: str = ""
    internal: bool = False


def path_of(binding: Any) -> dict[str, Any]:
    """Translate a binding into the form that plans are stored in: {"from", "path", "optional"} or {"const"}."""
    if not isinstance(binding, str):
        return {"const": binding}
    source, *keys = binding.removesuffix("?").split(".")
    return {"from": source, "path": keys, "optional": binding.endswith("?")}


def paths_of(bind: Binding) -> dict[str, Any]:
    return {name: path_of(binding) for name, binding in bind.items()}


def input_schema(flow: Flow) -> dict[str, Any]:
    """Return the schema of a kind's input as JSON Schema, draft 2020-12."""
    return {"$schema": JSON_SCHEMA} | flow.input.model_json_schema()


def plan(flow: Flow) -> list[dict[str, Any]]:
    """Return the stage rows of a new run: {"name", "kind", "job_type", "spec"}; spec freezes limits and bindings."""
    return [_planned(stage) for stage in flow.stages]


def _planned(stage: Stage) -> dict[str, Any]:
    if isinstance(stage, Decision):
        asked = {"bind": paths_of(stage.bind), "back_to": stage.back_to}
        return {"name": stage.name, "kind": "decision", "job_type": "", "spec": asked}
    job_type = registry.job_type(stage.job_type)
    spec: dict[str, Any] = {
        "bind": paths_of(stage.bind),
        "queue": job_type.queue,
        "timeout_s": job_type.timeout_s,
        "max_attempts": job_type.retry.max_attempts,
        "max_payload_bytes": conf.max_payload_bytes(),
    }
    if model := registry.model_of(job_type, chat=conf.model_name(), embedding=conf.embedding_model()):
        spec["model"] = model
    if job_type.tool:
        spec["tool"] = job_type.tool
    if job_type.on_cancel is not None:
        spec["cleans_up"] = True
    if isinstance(stage, FanOut):
        spec |= {"over": path_of(stage.over), "each": stage.each, "join": {"rule": stage.join.rule, "n": stage.join.n}}
        spec["max_parts"] = conf.fan_out_max_parts()
        return {"name": stage.name, "kind": "fan_out", "job_type": stage.job_type, "spec": spec}
    if stage.sets:
        spec["sets"] = paths_of(stage.sets)
    if stage.repeat:
        repeat = stage.repeat
        spec["repeat"] = {
            "back_to": repeat.back_to,
            "field": repeat.field,
            "equals": repeat.equals,
            "at_most": repeat.at_most,
        }
    return {"name": stage.name, "kind": "job", "job_type": stage.job_type, "spec": spec}


def check(flow: Flow) -> list[str]:
    """Return what is wrong with a flow, in sentences: unknown job types, unbound or unknown parameters, bindings to
    stages that are not before."""
    problems: list[str] = []
    if flow.input.model_config.get("extra") != "forbid":
        problems.append(
            f"{flow.kind} v{flow.version}: its input must forbid surplus fields, or they are lost unseen: "
            'set model_config = ConfigDict(extra="forbid").'
        )
    problems += _check_schema(flow)
    seen = {"input"}
    for stage in flow.stages:
        where = f"{flow.kind} v{flow.version}, stage {stage.name}"
        later = {item.name for item in flow.stages}
        for name, binding in stage.bind.items():
            problems += _check_path(f"{where}, {name}", binding, seen, later)
        if isinstance(stage, FanOut):
            problems += _check_path(f"{where}, over", stage.over, seen, later)
            problems += _check_width(where, stage)
        if isinstance(stage, Decision):
            missing = sorted({"content", "content_sha256"} - set(stage.bind))
            problems += [f"{where}: a person decides on {name}, which is not bound." for name in missing]
        if isinstance(stage, Step):
            problems += _check_turns(where, stage, seen, later)
        if isinstance(stage, Step | FanOut):
            problems += _check_parameters(where, stage)
        back_to = stage.back_to if isinstance(stage, Decision) else None
        if isinstance(stage, Step) and stage.repeat:
            back_to = stage.repeat.back_to
        if back_to and back_to not in seen | {stage.name}:
            problems.append(f"{where}: it goes back to {back_to}, which is not a stage before it.")
        seen.add(stage.name)
    for name, binding in flow.result.items():
        problems += _check_path(f"{flow.kind} v{flow.version}, result {name}", binding, seen, seen)
    return problems


def _check_schema(flow: Flow) -> list[str]:
    try:
        input_schema(flow)
    except pydantic.PydanticInvalidForJsonSchema as error:
        where = f"{flow.kind} v{flow.version}: its input cannot be described to clients as JSON Schema"
        return [f"{where}: {error.message}. Use Annotated[..., AfterValidator(...)], or WithJsonSchema."]
    return []


def _check_path(where: str, binding: Any, seen: set[str], later: set[str]) -> list[str]:
    path = path_of(binding)
    if "const" in path or path["from"] in seen:
        return []
    # In a loop a stage may read the output of a later one, of the round before; on the first round it is null.
    if path["optional"] and path["from"] in later:
        return []
    return [f"{where}: {path['from']} is not a stage before it; write input.<field> or an earlier stage's name."]


def _check_width(where: str, stage: FanOut) -> list[str]:
    problems = []
    over = path_of(stage.over)
    if "const" in over and not isinstance(over["const"], list):
        problems.append(f"{where}: it fans out over {over['const']!r}, which is no list.")
    if stage.join.rule == "at_least" and stage.join.n < 1:
        problems.append(f"{where}: its join must need at least one part, n >= 1.")
    return problems


def _check_turns(where: str, stage: Step, seen: set[str], later: set[str]) -> list[str]:
    """What a step changes of its workflow, and how often it goes back."""
    problems = [
        f"{where}: an output sets the priority or the risk of its workflow, not {name}."
        for name in sorted(set(stage.sets) - {"priority", "risk"})
    ]
    for name, binding in stage.sets.items():
        problems += _check_path(f"{where}, sets {name}", binding, seen | {stage.name}, later)
    if stage.repeat and stage.repeat.at_most < 1:
        problems.append(f"{where}: it must go back at least once, at_most >= 1, or not repeat.")
    return problems


def _check_parameters(where: str, stage: Step | FanOut) -> list[str]:
    try:
        job_type = registry.job_type(stage.job_type)
    except InvalidPlan as error:
        return [f"{where}: {error}"]
    bound = set(stage.bind) | ({stage.each} if isinstance(stage, FanOut) else set())
    unknown = sorted(bound - set(job_type.schema.model_fields))
    unbound = sorted(job_type.required - bound)
    return [f"{where}: {name} is not a parameter of {stage.job_type}." for name in unknown] + [
        f"{where}: the parameter {name} of {stage.job_type} is not bound." for name in unbound
    ]
