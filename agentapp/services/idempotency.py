"""Requests to which their client has given a name, so that each is done once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentapp.errors import BeingAsked, DatabaseBusy
from agentapp.lifecycle import database
from agentapp.lifecycle.submit import NamedRequest

# Who sends a request while an equal one is being made waits so long for its end.
EQUAL_REQUEST_S = 3.0


@contextmanager
def once(request: NamedRequest | None) -> Iterator[None]:
    """Make a request in the block; an equal one may be under way, and is waited for.

    Raises:
        BeingAsked: that did not end in time.
        KeyUsedOtherwise: from the move, the name stands for another request.
        AskedBefore: from the move, it was made already.
    """
    if request is None:
        yield
        return
    try:
        with database.waits_for_locks(within_s=EQUAL_REQUEST_S):
            yield
    except DatabaseBusy as error:
        if not database.is_locked(error):
            raise
        raise BeingAsked("The same request is being handled at this moment. Send it again in a second.") from error
