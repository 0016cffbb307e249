"""A stand-in for the client of your shop."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Order:
    state: str


ORDERS = {17: Order("on its way")}
refunds: dict[str, dict[str, Any]] = {}


def order(number: int, *, timeout_s: float) -> Order | None:
    return ORDERS.get(number)


def refund(key: str, *, order: int, amount: float) -> dict[str, Any]:
    """Refund an order, once for each key."""
    return refunds.setdefault(key, {"order": order, "amount": amount})
