"""A workflow kind as the rows of a new task."""

from __future__ import annotations

from typing import Any

from agentapp import conf, registry
from agentapp.flows.stages import Binding, Const, Decision, FanOut, Flow, Repeat, Stage, Step, When
from agentapp.policies.backlog import WEBHOOKS
from agentapp.policies.permissions import missing

Json = dict[str, Any]
JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def path_of(binding: Any) -> Json:
    """Translate a binding into the form that plans are stored in: {"from", "path", "optional"} or {"const"}."""
    if isinstance(binding, Const):
        return {"const": binding.value}
    if not isinstance(binding, str):
        return {"const": binding}
    source, *keys = binding.removesuffix("?").split(".")
    return {"from": source, "path": keys, "optional": binding.endswith("?")}


def paths_of(bind: Binding) -> Json:
    return {name: path_of(binding) for name, binding in bind.items()}


def input_schema(flow: Flow) -> Json:
    """Return the schema of a kind's input as JSON Schema, draft 2020-12."""
    return {"$schema": JSON_SCHEMA} | flow.input.model_json_schema()


def plan(flow: Flow) -> list[Json]:
    """Return the stage rows of a new run: {"name", "kind", "job_type", "spec"}; spec freezes limits and bindings."""
    stages = [_planned(stage) for stage in flow.stages]
    if said := flow.conversation:
        heard = path_of(f"{said.turn}.{said.heard}?")
        hears = {"back_to": said.turn, "heard": heard, "interrupts": said.on_message == "interrupt"}
        # Behind the last stage it is asked whether all has been read.
        stages[-1]["spec"]["hears"] = hears
    return stages


def _planned(stage: Stage) -> Json:
    kind = "decision" if isinstance(stage, Decision) else "fan_out" if isinstance(stage, FanOut) else "job"
    spec: Json = {"bind": paths_of(stage.bind)}
    if stage.when:
        spec["when"] = _condition(stage.when)
    if stage.repeat:
        spec["repeat"] = _repeat(stage, stage.repeat)
    if isinstance(stage, Decision):
        spec |= _decision(stage)
    else:
        spec |= _limits(stage.job_type)
    if isinstance(stage, FanOut):
        spec |= {"over": path_of(stage.over), "each": stage.each, "join": {"rule": stage.join.rule, "n": stage.join.n}}
        spec |= {"max_parts": conf.fan_out_max_parts()} | _of_elements(stage)
    if isinstance(stage, Step) and stage.sets:
        spec["sets"] = paths_of(stage.sets)
    job_type = "" if isinstance(stage, Decision) else stage.job_type
    return {"name": stage.name, "kind": kind, "job_type": job_type, "spec": spec}


def _condition(when: When) -> Json:
    return {"path": path_of(when.path), "equals": when.equals}


def _repeat(stage: Stage, repeat: Repeat) -> Json:
    """Workers of the release before know only a field of the job's own output: say it in their words too, where that is
    possible."""
    stored = {"back_to": repeat.back_to, "when": _condition(repeat.when), "at_most": repeat.at_most}
    path = path_of(repeat.when.path)
    is_own = path.get("from") == stage.name and len(path["path"]) == 1
    if is_own and isinstance(stage, Step) and repeat.when.equals is not None:
        stored |= {"field": path["path"][0], "equals": repeat.when.equals}
    return stored


def _decision(stage: Decision) -> Json:
    asked: Json = {"on_reject": stage.on_reject} if stage.on_reject != "end" else {}
    ways = {"back_to": stage.back_to, "refresh_from": stage.refresh_from}
    return asked | {name: to for name, to in ways.items() if to}


def _of_elements(stage: FanOut) -> Json:
    """What each element says of its part, and which queues it may name."""
    spec: Json = {"tool_from": stage.tool} if stage.tool else {}
    if stage.queue:
        job_type = registry.job_type(stage.job_type)
        holding = {queue for queue, held in registry.worker_classes.items() if not missing(job_type.scopes, held)}
        # What sends webhooks counts for no tenant: an element cannot choose that.
        spec |= {"queue_from": stage.queue, "queues": sorted(holding - {WEBHOOKS} | {job_type.queue})}
    return spec


def _limits(name: str) -> Json:
    """What the job type says of each of its jobs."""
    job_type = registry.job_type(name)
    spec: Json = {
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
    return spec
