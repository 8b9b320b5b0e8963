"""CloudWatch's metric math, as far as the stack uses it, at one point of time.

Source: Amazon CloudWatch user guide, "Using math expressions with CloudWatch metrics": missing values count as 0 in
arithmetic, and in comparisons with a series that has a value; a division by zero drops the point; IF gives 0 where its
condition holds and the value is missing, and drops the point where the condition or the other value is missing.
"""

import ast
import math
from collections.abc import Callable, Collection, Mapping
from functools import cache

Point = float | None
"""A value, or None where a series has none."""
Term = Callable[[Mapping[str, Point], Collection[str]], Point]
"""A part of an expression: its value by those of the series, and the names of the series that FILL does not fill."""

_OPERATORS: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Eq: lambda left, right: left == right,
    ast.And: lambda left, right: bool(left and right),
    ast.Or: lambda left, right: bool(left or right),
}


@cache
def compiled(expression: str, *, nothing_is_zero: bool) -> Term:
    """An expression as a function.

    The guide leaves open whether a missing value beside a plain number counts as 0, or the result is missing.
    """
    tree = ast.parse(expression.replace(" AND ", " and ").replace(" OR ", " or "), mode="eval").body
    return _term(tree, nothing_is_zero)


def _term(node: ast.expr, nothing_is_zero: bool) -> Term:
    def part(of: ast.expr) -> Term:
        return _term(of, nothing_is_zero)

    match node:
        case ast.Constant(value=int() | float() as value):
            return lambda _points, _empty: float(value)
        case ast.Name(id=name):
            return lambda points, _empty: points[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _both(op, left, right, nothing_is_zero)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _both(op, left, right, nothing_is_zero)
        case ast.BoolOp(op=op, values=[left, right]):
            return _both(op, left, right, nothing_is_zero)
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            return _if(part(condition), part(then), part(otherwise))
        case ast.Call(func=ast.Name(id="FILL"), args=[ast.Name(id=name), ast.Constant(value=int() as value)]):
            return lambda points, empty: float(value) if points[name] is None and name not in empty else points[name]
        case ast.Call(func=ast.Name(id="CEIL"), args=[raised]):
            return _ceil(part(raised))
        case _:
            raise NotImplementedError(f"not simulated: {ast.unparse(node)}")


def _both(op: ast.AST, left: ast.expr, right: ast.expr, nothing_is_zero: bool) -> Term:
    function = _OPERATORS[type(op)]
    one, other = _term(left, nothing_is_zero), _term(right, nothing_is_zero)
    numbers = isinstance(left, ast.Constant) + isinstance(right, ast.Constant)

    def value(points: Mapping[str, Point], empty: Collection[str]) -> Point:
        first, second = one(points, empty), other(points, empty)
        missing = (first is None) + (second is None)
        if missing + numbers == 2 and missing and not (numbers and nothing_is_zero):
            return None
        try:
            return float(function(first or 0.0, second or 0.0))
        except ZeroDivisionError:
            return None

    return value


def _if(condition: Term, then: Term, otherwise: Term) -> Term:
    def value(points: Mapping[str, Point], empty: Collection[str]) -> Point:
        holds = condition(points, empty)
        if holds is None:
            return None
        return (then(points, empty) or 0.0) if holds else otherwise(points, empty)

    return value


def _ceil(raised: Term) -> Term:
    def value(points: Mapping[str, Point], empty: Collection[str]) -> Point:
        found = raised(points, empty)
        return None if found is None else float(math.ceil(found))

    return value
