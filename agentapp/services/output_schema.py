"""What a job has to return, as a JSON Schema: what the later stages of its task read of it. [F3]

A body declares no schema of its output. The plan does: a binding names the fields that it reads, and the signature of
the job type that gets them says of which type they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentapp import registry
from agentapp.models import Job, Stage, Workflow
from agentapp.states import JobState, StageKind

Json = dict[str, Any]

# A field that is the hash of another one, which this names.
HASH_OF = "x-hash-of"
_HASH_HELP = "Left empty, it is made from the content."
# Where no signature says the type of a field, what another job returned there does.
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number"}
# Longer outputs make no example for a person.
_MOST_CHARACTERS = 20_000
# So many of the latest tasks are looked at: an index finds them, and their jobs.
_MOST_TASKS = 200


def of(job: Job) -> Json:
    """Return the schema of what a dead letter's output must hold; other fields may stand there too."""
    schema: Json = {"type": "object", "properties": {}, "required": [], "$defs": {}}
    name = job.stage.name
    for stage in Stage.objects.filter(workflow_id=job.workflow_id).order_by("position"):
        is_later = stage.position > job.stage.position
        if stage.kind == StageKind.DECISION:
            _add_decision(schema, dict(_paths(stage.spec, name)), is_later=is_later)
            continue
        parameters = _parameters(stage.job_type)
        for parameter, path in _paths(stage.spec, name):
            known = parameters.get("properties", {}).get(parameter, {}) if len(path["path"]) == 1 else {}
            is_needed = is_later and not path.get("optional")
            _add(schema, str(path["path"][0]), known, parameters.get("$defs", {}), is_needed=is_needed)
    for _, path in _paths(job.workflow.result_bind, name):
        _add(schema, str(path["path"][0]), {}, {}, is_needed=not path.get("optional"))
    returned = example(job) or {}
    for field, known in schema["properties"].items():
        if not known and (type_name := _TYPES.get(type(returned.get(field)))):
            schema["properties"][field] = {"type": type_name}
    return schema


def example(job: Job) -> Json | None:
    """Return what another job of this type and tenant has returned lately; None where none has, or that is long."""
    recent = Workflow.objects.filter(tenant_id=job.tenant_id).order_by("-id").values_list("pk", flat=True)
    rows = Job.objects.filter(workflow__in=list(recent[:_MOST_TASKS]), type=job.type, state=JobState.COMPLETED)
    found = rows.order_by("-id").values_list("output", flat=True).first()
    return found if isinstance(found, dict) and len(str(found)) <= _MOST_CHARACTERS else None


def _parameters(job_type: str) -> Json:
    known = registry.job_types.get(job_type)
    return known.schema.model_json_schema() if known else {}


def _paths(spec: Any, stage: str, name: str = "") -> Iterator[tuple[str, Json]]:
    """Yield each binding that reads a field of this stage, with the name that it is bound to."""
    if isinstance(spec, list):
        for item in spec:
            yield from _paths(item, stage, name)
    elif isinstance(spec, dict):
        if spec.get("from") == stage and isinstance(spec.get("path"), list):
            if spec["path"]:
                yield name, spec
            return
        for key, item in spec.items():
            yield from _paths(item, stage, str(key))


def _add_decision(schema: Json, read: dict[str, Json], *, is_later: bool) -> None:
    """Add what an approval is made of. Only its content is needed; nobody types a hash."""
    fields = {parameter: str(path["path"][0]) for parameter, path in read.items()}
    for parameter, field in fields.items():
        known: Json = {}
        if parameter == "content_sha256" and "content" in fields:
            known = {"type": "string", HASH_OF: fields["content"], "description": _HASH_HELP}
        _add(schema, field, known, {}, is_needed=is_later and parameter == "content")


def _add(schema: Json, name: str, known: Json, definitions: Json, *, is_needed: bool) -> None:
    """Add a field, or what is known of it."""
    titled = {key: value for key, value in known.items() if key not in ("default", "title")}
    schema["properties"][name] = schema["properties"].get(name) or titled
    for key, value in definitions.items():
        schema["$defs"].setdefault(key, value)
    if is_needed and name not in schema["required"]:
        schema["required"].append(name)
