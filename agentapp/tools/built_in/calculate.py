"""Arithmetic, which models get wrong."""

import ast
import operator
from collections.abc import Callable

from agentapp.errors import ToolFailed
from agentapp.tools import ToolContext, tool

LONGEST = 500
# A power is refused when its result would have more digits than this, or the exponent is larger.
MOST_EXPONENT, MOST_BASE = 100, 10**6
LARGEST_EXACT = 10**60

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@tool(queue="model")
def calculate(ctx: ToolContext, *, expression: str) -> str:
    """Calculate with numbers, + - * / // % ** and parentheses, such as (3 + 4) * 2."""
    if len(expression) > LONGEST:
        raise ToolFailed(f"The expression is longer than {LONGEST} characters.")
    try:
        return f"{expression} = {_written(_value(ast.parse(expression.strip(), mode='eval').body))}"
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ToolFailed(f"This cannot be calculated: {error}") from error


def _written(value: float) -> str:
    return str(value) if isinstance(value, int) and abs(value) < LARGEST_EXACT else f"{value:.15g}"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case ast.UnaryOp(ast.UAdd(), operand):
            return _value(operand)
        case ast.BinOp(left, ast.Pow(), right):
            base, exponent = _value(left), _value(right)
            if abs(base) > MOST_BASE or abs(exponent) > MOST_EXPONENT:
                raise ValueError("the power is too large")
            power: float | complex = base**exponent
            if isinstance(power, complex):
                raise ValueError("the result is no real number")
            return power
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left), _value(right))
    raise ValueError("write numbers, + - * / // % ** and parentheses")
