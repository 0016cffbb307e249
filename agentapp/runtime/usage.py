"""What an attempt cost and did, carried to its settle."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentapp.policies import storable


@dataclass
class AttemptUsage:
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    # Calls of models whose price is not known: what they cost is no part of `cost_usd`.
    unpriced_calls: int = 0
    effects: list[dict[str, Any]] = field(default_factory=list)
    # The sends that this attempt has made, by effect and number.
    _sends: dict[tuple[UUID, int], object] = field(default_factory=dict)

    def spent(self, *, tokens: int, cost_usd: Decimal, is_priced: bool) -> None:
        self.tokens += tokens
        self.cost_usd += cost_usd
        self.unpriced_calls += not is_priced

    def may_send(self, effect_id: UUID, sends: int, status: str) -> bool:
        """Whether this call makes a send that this attempt has begun: each of them is made by one call, although the
        ledger may be asked twice. In one step, because a body may have threads.
        """
        me = object()
        return status in ("begun", "repeated") and self._sends.setdefault((effect_id, sends), me) is me

    def happened(self, effect_id: UUID, response: dict[str, Any]) -> None:
        """An effect was confirmed by its provider; the settle records it, whatever else it records."""
        self.effects.append({"id": str(effect_id), "response": storable.value(response)})

    def answer_of(self, effect_id: UUID) -> dict[str, Any] | None:
        """What the provider answered to an effect of this very attempt, None when it has not happened in it."""
        answers = [effect["response"] for effect in self.effects if effect["id"] == str(effect_id)]
        return answers[0] if answers else None

    def least(self) -> dict[str, Any]:
        """Without what others have answered."""
        return {**self.as_json(), "effects": [{**effect, "response": {}} for effect in self.effects]}

    def as_json(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens, "cost_usd": str(self.cost_usd), "unpriced_calls": self.unpriced_calls,
            "effects": self.effects,
        }  # fmt: skip
