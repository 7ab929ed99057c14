"""The built-in functions that are written in the language, in `grammar/prelude.rnn`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ... import grammar
from ...grammar.source import Source
from ...grammar.syntax import FunctionDeclaration
from .modules import FunctionDefinition, Module


@cache
def prelude() -> Mapping[str, FunctionDefinition]:
    """They by name. They see each other as built-in functions, with axes and defaults."""
    module = Module(grammar.prelude())
    return {
        declaration.name: FunctionDefinition(module, declaration)
        for declaration in module.file.declarations
        if isinstance(declaration, FunctionDeclaration)
    }


def prelude_source() -> Source:
    """Their text; problems are not shown in it."""
    return grammar.prelude().span.source
