"""Which names a cell's text gives to the cells after it, and which it needs from those before: found by reading alone.

Names that are local to a function, a comprehension or a class count for neither. Nothing is run here.
"""

import ast
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Assert, ast.Delete)  # they read first, then bind


def names_given(text: str) -> set[str]:
    """The names that a cell defines for the cells after it; "*" where it imports all that there is."""
    return {name for node in _statements(text) for name in _names(node).bound}


def names_used(text: str) -> set[str]:
    """The names that a cell needs from the cells before it."""
    now, later = names_read(text)
    return now | later


def names_read(text: str) -> tuple[set[str], set[str]]:
    """The names that a cell needs while it runs, and those that it needs when a function of its own is called."""
    given, now, later = set(), set(), set()
    for node in _statements(text):
        names = _names(node)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            later |= names.read
        else:
            now |= names.read - given - (set() if isinstance(node, SIMPLE) else names.bound)
        given |= names.bound
    return now, later - given


def _statements(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except RecursionError:
        return []


@dataclass
class _Scope:
    """The names that are bound in a scope and read in it; shared: those that functions in it declare as global."""

    bound: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)


def _names(node: ast.AST) -> _Scope:
    """The names of one statement, in the scope around it."""
    found = _Scope()
    try:
        _collect(node, found)
    except RecursionError:  # nested too deeply for this: each name that occurs
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                (found.bound if isinstance(part.ctx, ast.Store) else found.read).add(part.id)
    found.bound |= found.shared
    return found


def _collect(node: ast.AST, scope: _Scope) -> None:
    """Put the names of a node into the scope that it stands in."""
    match node:
        case ast.Name(id=name):
            (scope.bound if isinstance(node.ctx, ast.Store) else scope.read).add(name)
        case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            scope.bound.add(name)
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            scope.bound.add(name)
        case ast.alias():
            scope.bound.add((node.asname or node.name).split(".")[0])
        case ast.AugAssign(target=ast.Name(id=name)):
            scope.read.add(name)
        case ast.Global():
            scope.shared.update(node.names)
    if not isinstance(node, SCOPES):
        for child in ast.iter_child_nodes(node):
            _collect(child, scope)
        return
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        scope.bound.add(node.name)
    inside = _Scope()
    for child in ast.iter_child_nodes(node):
        _collect(child, inside)
    scope.read |= inside.read - inside.bound
    scope.shared |= inside.shared
    arguments = getattr(node, "args", None)
    for part in [*arguments.defaults, *arguments.kw_defaults] if arguments else []:
        if part:  # it is read where the function is defined: `def f(x=x)` takes the x outside
            _collect(part, scope)
