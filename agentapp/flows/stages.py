"""What a workflow kind is made of: stages, conditions, loops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pydantic

Binding = dict[str, Any]


# The job type whose jobs run a task of their own, and what it calls the kind of that.
RUN_TASK, TASK_KIND = "run_task", "task_kind"


@dataclass(frozen=True)
class Const:
    """A constant in a binding, where a text would be read as a path."""

    value: Any


@dataclass(frozen=True)
class When:
    """A condition: what `path` leads to equals `equals`. A path that leads nowhere is null.

    What a skipped stage would have come to is null, whatever it came to in an earlier round.
    """

    path: str
    equals: Any = True


@dataclass(frozen=True)
class Repeat:
    """Go back to `back_to` and come here again while `when` is met, at most `at_most` times; then the plan goes on.

    The condition may read the stage that it belongs to. Each time that an outer loop comes here the count begins anew.
    """

    back_to: str
    when: When
    at_most: int


@dataclass(frozen=True)
class Step:
    """One job. While `when` is not met the stage is skipped: nothing runs, and it does not repeat either."""

    job_type: str
    bind: Binding = field(default_factory=dict)
    repeat: Repeat | None = None
    # What the output changes of the workflow itself: {"priority": path, "risk": path}.
    sets: Binding = field(default_factory=dict)
    when: When | None = None
    # What bindings call it; without one, its job type.
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.job_type)


def child_task(
    kind: str,
    *,
    bind: Binding | None = None,
    name: str = "",
    repeat: Repeat | None = None,
    when: When | None = None,
) -> Step:
    """Return a stage that is a task of its own: of this kind, with the input that `bind` gives, for the same principal.

    The parent waits for its end without a worker, and is given {"task": id, "result": what it came to}. It is cancelled
    with its parent; when it fails or is cancelled itself, the stage is a dead letter, and a replay runs another one.
    Without a `name` bindings call the stage by its kind.
    """
    return Step(RUN_TASK, bind={TASK_KIND: Const(kind), **(bind or {})}, name=name or kind, repeat=repeat, when=when)


@dataclass(frozen=True)
class Join:
    """When a fan-out is done: every part completed, every part settled (dead letters too), or n completed."""

    rule: Literal["all", "settled", "at_least"] = "all"
    n: int = 0


@dataclass(frozen=True)
class FanOut:
    """One job for each element of the list that `over` leads to; the element is bound to the parameter `each`.

    `tool` and `queue` are keys of the elements: each part has the tool and the worker class that its element names.
    """

    job_type: str
    over: Any
    each: str
    bind: Binding = field(default_factory=dict)
    join: Join = field(default_factory=Join)
    repeat: Repeat | None = None
    when: When | None = None
    name: str = ""
    tool: str | None = None
    queue: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.job_type)


@dataclass(frozen=True)
class Decision:
    """A person decides; rows only. `bind` gives content, content_sha256, sources, evaluation and risk.

    A request for changes goes back to the stage `back_to`; without one, nobody can request any. A rejection ends the
    task, or the plan goes on, and later stages read `decision` and `remark` of this stage's output. What is approved to
    be sent is held, so that it can be undone, before a Step: a FanOut behind the decision begins at once.

    `refresh_from` is the stage that reads the sources which `sources` cites: a task of the kind `refresh_stale_drafts`
    goes back there when they have changed. Without one the content stays as it was asked about.
    """

    bind: Binding
    back_to: str | None = None
    refresh_from: str | None = None
    name: str = "approval"
    on_reject: Literal["end", "continue"] = "end"
    repeat: Repeat | None = None
    when: When | None = None


def raise_budget(of: str, *, name: str = "", at_most: int = 20) -> Decision:
    """Return a stage behind the job `of`, whose framework calls the model within a budget: when that is used up, a
    person is asked whether to raise it.

    Approved, the job goes on with the answers that it had, and with the raised budget. Rejected, the plan goes on
    without its result: {"asks": true, "partial": {"text"} or {"text_id"} or null} is what there is of it then.
    """
    name = name or f"{of}_budget"
    return Decision(
        bind={"content": f"{of}.content", "content_sha256": f"{of}.content_sha256"},
        name=name,
        on_reject="continue",
        when=When(f"{of}.asks"),
        repeat=Repeat(of, when=When(f"{name}.decision", equals="approved"), at_most=at_most),
    )


Stage = Step | FanOut | Decision


@dataclass(frozen=True)
class Conversation:
    """Tasks of this kind take messages while they run, and go on with them when they are completed.

    `turn` is the stage that reads them; its output says at `heard` how many of its task it has read. `queue`: the next
    turn reads a message; `interrupt`: a turn that runs is begun again with it. One that comes too late for the last
    turn makes the plan go back to `turn`.
    """

    turn: str
    heard: str = "heard"
    on_message: Literal["queue", "interrupt"] = "queue"


@dataclass(frozen=True)
class Flow:
    """A version of a workflow kind. `input` is the schema of what a client sends; `result` is bound at the end. `title`
    and `description` are for clients, who also get the schema as JSON Schema.

    `internal`: for the platform itself, such as its drill; to clients there is no such kind. `needs`: scopes that its
    jobs ask of the principal: who submits or schedules it must hold them, and they are asked again as it runs.
    """

    kind: str
    version: int
    input: type[pydantic.BaseModel]
    stages: tuple[Stage, ...]
    result: Binding = field(default_factory=dict)
    title: str = ""
    description: str = ""
    internal: bool = False
    conversation: Conversation | None = None
    needs: tuple[str, ...] = ()
