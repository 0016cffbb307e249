"""What clients send of gates."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentapp.api.schemas import Body, ShortReason, change_like, shown
from agentapp.services import gates
from agentapp.states import GateScope


def _range(name: str) -> Any:
    least, most = gates.RANGES[name]
    return shown(minimum=least, maximum=most)


Scope = Annotated[str, shown(enum=GateScope.values)]


class ChangeGate(Body):
    """PATCH /gates/{id}: what is left out stays as it is."""

    model_config = change_like({"scope": "model", "pattern": "gpt-5*", "concurrency": 8, "reason": "a new contract"})

    scope: Scope = ""
    pattern: Annotated[str, shown(minLength=1, maxLength=100)] = ""
    tier: Annotated[str, shown(maxLength=30)] = ""
    concurrency: Annotated[int | None, _range("concurrency")] = None
    reserved: Annotated[int, _range("reserved")] = 0
    requests_per_min: Annotated[float | None, _range("requests_per_min")] = None
    request_burst: Annotated[int, _range("request_burst")] = 0
    tokens_per_min: Annotated[float | None, _range("tokens_per_min")] = None
    token_burst: Annotated[int, _range("token_burst")] = 0
    max_waiting: Annotated[int | None, _range("max_waiting")] = None
    tokens_per_day: Annotated[int | None, _range("tokens_per_day")] = None
    cost_usd_per_day: Annotated[float | None, _range("cost_usd_per_day")] = None
    note: Annotated[str, shown(maxLength=300)] = ""
    reason: ShortReason = Field("", description="is recorded with the change")

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude={"reason"}, exclude_unset=True)


class NewGate(ChangeGate):
    """POST /gates and PUT /gates/{id}: what is left out has its default."""

    scope: Scope

    def whole(self) -> dict[str, Any]:
        """Return all values, with the defaults of those that were not sent."""
        return self.model_dump(exclude={"reason"})
