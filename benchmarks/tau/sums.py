"""The calculator that both domains have."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from core.errors import ToolRefused
from core.tools import Matching, tool

_DO: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@tool("read")
def calculate(expression: Annotated[str, Matching(r"[-+*/(). 0-9]{1,300}"), "numbers, + - * / and brackets"]) -> str:
    """Work out a sum exactly, to the cent."""
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError) as error:
        raise ToolRefused(detail=f"'{expression}' has no value") from error
    return f"{value:.2f}"


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Decimal(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _DO:
            return Decimal(_DO[type(op)](_value(left), _value(right)))
    raise ToolRefused(detail="only numbers, + - * / and brackets have a value")
