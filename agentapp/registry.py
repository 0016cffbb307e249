"""Job types and workflow kinds as plain data. `tasks/` fills it at start; nothing here imports it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from agentapp.errors import InvalidPayload, InvalidPlan
from agentapp.policies import retry, sentences
from agentapp.policies.permissions import WORKER_CLASS_SCOPES, missing, trouble
from agentapp.policies.retry import RetryPolicy

if TYPE_CHECKING:
    from agentapp.flows import Flow

_CLASS_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True)
class JobType:
    """What the decorator of a task module declares; `schema` is made of the function's signature.

    `calls` is which model its bodies call: "chat", "embedding" or none; `tool` what they use outside, such as mail.
    """

    name: str
    body: Callable[..., Any]
    queue: str
    timeout_s: int
    retry: RetryPolicy
    scopes: frozenset[str]
    schema: type[pydantic.BaseModel]
    on_cancel: Callable[[Any], None] | None = None
    tool: str = ""
    calls: str = ""

    def check(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of the body.

        Raises:
            InvalidPayload: a parameter is missing, surplus or of the wrong type.
        """
        try:
            model = self.schema.model_validate(payload)
        except pydantic.ValidationError as error:
            raise InvalidPayload(f"{self.name}: {sentences.detail(sentences.field_errors(error))}") from error
        return {name: getattr(model, name) for name in self.schema.model_fields} | (model.model_extra or {})

    @property
    def required(self) -> set[str]:
        """The parameters that every plan must bind."""
        return {name for name, info in self.schema.model_fields.items() if info.is_required()}


def schema_of(name: str, body: Callable[..., Any]) -> type[pydantic.BaseModel]:
    """Build the payload schema from the keyword-only parameters of a body; `**more` takes whatever else is bound."""
    fields: dict[str, Any] = {}
    extra: Literal["allow", "forbid"] = "forbid"
    for parameter in inspect.signature(body, eval_str=True).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation, default)
        elif parameter.kind is parameter.VAR_KEYWORD:
            extra = "allow"
    return pydantic.create_model(name, __config__=pydantic.ConfigDict(extra=extra), **fields)


def called_by(scopes: frozenset[str] | set[str]) -> str:
    """Return which model a body with these scopes calls: "chat", "embedding" or none."""
    return "chat" if "model:call" in scopes else "embedding" if "model:embed" in scopes else ""


# By name: the scopes that its job types and tools may ask for. Ours, and those that packages add.
worker_classes: dict[str, frozenset[str]] = dict(WORKER_CLASS_SCOPES)
job_types: dict[str, JobType] = {}
flows: dict[tuple[str, int], Flow] = {}


def add_worker_class(name: str, *, scopes: Collection[str]) -> str:
    """Register a worker class, which is named like its queue, and return its name for `queue=`.

    Processes that consume this queue claim its jobs and no others; they get the credentials that its scopes stand for.

    Raises:
        InvalidPlan: the name is none or is taken, or it would both call models and send: what has read text of others
            must not send anything by itself.
    """
    held = frozenset(scopes)
    if not _CLASS_NAME.fullmatch(name):
        raise InvalidPlan(f"{name!r} is no name of a worker class: small letters, digits and underscores, at most 50.")
    if worker_classes.get(name, held) != held:
        raise InvalidPlan(f"There is a worker class {name} already, with other scopes. Choose another name.")
    if found := trouble(held):
        raise InvalidPlan(f"The worker class {name} would {found}. Make two of it.")
    worker_classes[name] = held
    return name


def add_job_type(job_type: JobType) -> None:
    """Raises InvalidPlan when the name is taken, the worker class may not do what the job type asks for, or its retry
    policy cannot be followed."""
    known = job_types.get(job_type.name)
    if known is not None and known.body.__module__ != job_type.body.__module__:
        raise InvalidPlan(
            f"The job type {job_type.name} exists twice: in {known.body.__module__} and in "
            f"{job_type.body.__module__}. Rename one of them."
        )
    if job_type.queue not in worker_classes:
        raise InvalidPlan(
            f"{job_type.name}: there is no worker class {job_type.queue!r}; "
            f"choose one of {', '.join(sorted(worker_classes))}, or add it with registry.add_worker_class()."
        )
    if lacking := missing(job_type.scopes, worker_classes[job_type.queue]):
        raise InvalidPlan(f"{job_type.name}: the worker class {job_type.queue} does not hold {', '.join(lacking)}.")
    if found := retry.trouble(job_type.retry):
        raise InvalidPlan(f"{job_type.name}: {found}.")
    job_types[job_type.name] = job_type


def add_flow(flow: Flow) -> Flow:
    """Register a version of a workflow kind; its plan is checked by `flows.check` when all job types are known."""
    flows[flow.kind, flow.version] = flow
    return flow


def job_type(name: str) -> JobType:
    """Raises InvalidPlan for a name that no task module has declared."""
    try:
        return job_types[name]
    except KeyError:
        raise InvalidPlan(f"There is no job type {name}. Is its module in tasks/ or in AGENTAPP_EXTENSIONS?") from None


def models(*, chat: str, embedding: str) -> dict[str, str]:
    """Return which model each job type calls that calls one."""
    called = {name: model_of(known, chat=chat, embedding=embedding) for name, known in job_types.items()}
    return {name: model for name, model in called.items() if model}


def model_of(job_type: JobType, *, chat: str, embedding: str) -> str:
    """Return which model a job type calls, empty for none."""
    return {"chat": chat, "embedding": embedding}.get(job_type.calls, "")


def asking() -> list[str]:
    """The job types that ask a chat model: people may choose which. (Embeddings of one space come from one model.)"""
    return sorted(name for name, known in job_types.items() if known.calls == "chat")


def latest_flow(kind: str) -> Flow | None:
    """Return the newest version of a workflow kind, or None."""
    versions = [flow for (name, _), flow in flows.items() if name == kind]
    return max(versions, key=lambda flow: flow.version, default=None)


def kinds() -> list[str]:
    """The workflow kinds that clients can submit, sorted."""
    return sorted({kind for (kind, _), flow in flows.items() if not flow.internal})
