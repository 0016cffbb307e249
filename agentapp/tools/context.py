"""What the body of a tool may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.errors import PolicyBlocked
from agentapp.retrieval.embedding import Embed

Json = dict[str, Any]


@dataclass
class ToolContext:
    """One call of a tool, for one tenant.

    `left_s` tells how many seconds are left. `check` raises when the task was cancelled: a tool that works for long
    calls it now and then. `release` gives the database connection back before something slow. `begin` makes the effect
    of a tool that writes, under a key of the runtime; `secret_of` looks a secret up for the worker class of the job.
    `customer` is whom the task is about, for tools that are declared with `of_customer`. `is_tainted`: the run has read
    untrusted text before this call. A tool that was declared as untrusted sets `is_trusted` when what it returns was
    not written by others this time.
    """

    tenant_id: int
    task_id: UUID
    call_id: str
    embed: Embed
    left_s: Callable[[], float]
    check: Callable[[], None]
    release: Callable[[], None]
    begin: Callable[..., Json] | None = None
    secret_of: Callable[[str], str] | None = None
    has_written: bool = False
    customer: str = ""
    is_tainted: bool = True
    is_trusted: bool = False

    def secret(self, name: str) -> str:
        """Return the secret that a reference such as TOOL_SECRET_CRM stands for. Look it up in the call that uses it:
        from then on it is taken out of what this process writes.

        Raises:
            PermissionDenied: the worker class of the tool does not hold the scope http:send.
            PermanentError: there is none, or it is too weak.
        """
        if self.secret_of is None:
            raise PolicyBlocked("There are no secrets outside of a job.")
        return self.secret_of(name)

    def effect(
        self,
        call: Callable[[str], Json],
        *,
        request: Any,
        ask: Callable[[str], Json | None] | None = None,
        is_idempotent: bool = False,
        ask_restored: Callable[[str], Json | None] | None = None,
    ) -> Json:
        """Do something to the outside world, once for this call however often it is run; see JobContext.effect.

        `call(effect_id)` does it and returns the answer. It raises NotSentYet or CannotBeSent with proof that
        nothing was sent; whatever else it raises leaves the effect unknown, and a person finds out. `request` is what
        is sent. `ask(effect_id)` tells whether an earlier call has arrived.

        Raises:
            PolicyBlocked: the tool was declared as one that only reads, or has done something already in this call.
        """
        if self.begin is None:
            raise PolicyBlocked("This tool was declared as one that only reads: declare it with write=True.")
        if self.has_written:
            raise PolicyBlocked("A call of a tool does one thing: make a tool of each.")
        self.has_written = True
        return self.begin(call, request=request, ask=ask, is_idempotent=is_idempotent, ask_restored=ask_restored)
