"""The tenant context: of which tenants the statements of this thread may see and write rows.

Roles of Postgres that `manage.py database_roles` binds to it (row-level security: agentapp/lifecycle/roles/policies.py)
see no row of a tenant without one, whatever a query forgot to say. Sessions of the owner of the tables send none. State
moves run with the rights of the owner, and are not bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# The parameter of Postgres that the policies read: numbers of tenants, or ALL.
PARAMETER = "agentapp.tenants"
ALL, NONE = "*", ""

_present: ContextVar[str] = ContextVar("tenant_context", default=NONE)


def present() -> str:
    """The context as the policies read it."""
    return _present.get()


@contextmanager
def of(tenant_ids: Collection[int] | None) -> Iterator[None]:
    """Let the block see the rows of these tenants; None: of all, for a principal who sees all."""
    token = _present.set(_text(tenant_ids))
    try:
        yield
    finally:
        _present.reset(token)


@contextmanager
def platform_rows() -> Iterator[None]:
    """Let the block see the rows of all tenants: what the platform itself does, or what is asked before it is known who
    asks. A test lists the places that may."""
    with of(None):
        yield


@contextmanager
def of_request() -> Iterator[None]:
    """Let nothing that a request enters outlive it, and nothing that was there before reach into it."""
    with of(()):
        yield


def enter(tenant_ids: Collection[int] | None) -> None:
    """See the rows of these tenants until the request is over; None: of all. Call it when it is known who asks."""
    _present.set(_text(tenant_ids))


def _text(tenant_ids: Collection[int] | None) -> str:
    # Numbers alone: the text is written into statements.
    return ALL if tenant_ids is None else ",".join(str(int(each)) for each in sorted(tenant_ids))
