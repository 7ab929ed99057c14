"""What generated source may be made of, and nothing else: parts of Python, names, strings.

In: the text of a module. Out: findings, a line each. Whatever a user wrote that came into it would
have to look like this.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import EllipsisType

PARTS = frozenset(
    """Module FunctionDef arguments arg Return Import ImportFrom alias With withitem For If Expr
    Assign AnnAssign AugAssign Name Load Store Attribute Subscript Slice Starred Tuple List Dict
    Call keyword Constant IfExp Compare BoolOp BinOp UnaryOp And Or Eq NotEq Lt LtE Gt GtE Is IsNot
    Add Sub Mult Div FloorDiv Mod Pow USub Invert BitAnd BitOr Try ExceptHandler""".split()
)
IMPORTS = frozenset(["numpy", "torch", "triton", "triton.language"])
BUILTINS = frozenset("range zip min max len abs float bool map".split())
CONSTANTS = int | float | EllipsisType | None
# The pattern of an einsum, a dtype or the sort of a memory layout, a number that is none.
STRING = re.compile(r"[A-Za-z.]*(,[A-Za-z.]*)*(->[A-Za-z.]*)?|[a-z_]+\d*|-?inf|nan")


def findings(source: str) -> list[str]:
    """Whatever is in `source` that no generated module has."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
    }
    bound = set(_bound(tree))
    found = []
    for node in ast.walk(tree):
        kind = type(node).__name__
        if kind not in PARTS:
            found.append(f"{kind}: {ast.unparse(node):.60}")
        match node:
            case ast.Import(names=names) if {name.name for name in names} - IMPORTS:
                found.append(ast.unparse(node))
            case ast.ImportFrom(module=module) if module not in IMPORTS:
                found.append(ast.unparse(node))
            case ast.Name(id=name) if name not in bound and name not in BUILTINS:
                found.append(f"a name that nothing binds: {name}")
            case ast.Attribute(attr=name) if name.startswith("_"):
                found.append(f"an attribute that is private: {name}")
            case ast.Constant(value=str() as text):
                if id(node) not in docstrings and not STRING.fullmatch(text):
                    found.append(f"a string: {text!r:.60}")
            case ast.Constant(value=value) if not isinstance(value, CONSTANTS):
                found.append(f"a constant: {value!r:.60}")
    return found


def _bound(tree: ast.Module) -> Iterator[str]:
    """Every name that a module imports, defines or assigns."""
    for node in ast.walk(tree):
        match node:
            case ast.alias(name=name, asname=asname):
                yield asname or name
            case ast.FunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
