"""Every small way to break a function: operators swapped, constants and indices shifted, roots dropped, signs."""

import ast
import copy
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator

SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
ORDERS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def mutants(function: Callable) -> Iterator[tuple[str, Callable]]:
    """(what was changed, the changed function), for each change of `function`'s own body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for part in ast.walk(tree):  # neither annotations nor docstrings are behaviour
        if isinstance(part, ast.FunctionDef):
            part.returns, part.body = None, part.body[ast.get_docstring(part) is not None :]
        if isinstance(part, ast.arg):
            part.annotation = None
    world = sys.modules[function.__module__].__dict__
    for i, node in enumerate(ast.walk(tree)):
        for new in changes(node):
            broken = copy.deepcopy(tree)
            old = list(ast.walk(broken))[i]
            words = f"{ast.unparse(old)} -> {ast.unparse(new)}"
            broken = ast.fix_missing_locations(_Put(old, new).visit(broken))
            names = dict(world)
            exec(compile(broken, "<mutant>", "exec"), names)
            yield words, names[function.__name__]


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().generic_visit(node)


def changes(node: ast.AST) -> list[ast.AST]:
    """What may stand in the place of `node`."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            return [ast.BinOp(left, SWAPS[type(op)](), right)]
        case ast.Compare(left, [op], [right]) if type(op) in ORDERS:
            orders = [ORDERS[type(op)], TURNED.get(type(op))]
            return [ast.Compare(left, [order()], [right]) for order in orders if order]
        case ast.Constant(bool()):
            return [ast.Constant(not node.value)]
        case ast.Constant(int()):
            return [ast.Constant(node.value + 1), ast.Constant(node.value - 1)]
        case ast.Constant(float()):
            return [ast.Constant(node.value * 1.5 + 0.1)]
        case ast.Subscript(_, ast.Name()):
            shifts = [ast.BinOp(node.slice, op(), ast.Constant(1)) for op in (ast.Add, ast.Sub)]
            return [ast.Subscript(node.value, shift, node.ctx) for shift in shifts]
        case ast.UnaryOp(ast.USub(), operand):
            return [operand]
        case ast.Call(ast.Attribute(_, "sqrt" | "square" | "exp" | "log" | "abs"), [only], []):
            return [only]  # math.sqrt(v) -> v
        case ast.Call(ast.Attribute(inner, "sqrt" | "square" | "exp" | "log" | "abs"), [], []):
            return [inner]  # v.sqrt() -> v
        case ast.Call(ast.Attribute(_, "max" | "min") as called, _, _):
            other = {"max": "min", "min": "max"}[called.attr]
            return [ast.Call(ast.Attribute(called.value, other, called.ctx), node.args, node.keywords)]
    return []
