"""A loaded file: its declarations by name, with those it imports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, TypeAlias

from ...grammar.source import Span
from ...grammar.syntax import CellDeclaration, ChainDeclaration, File, FunctionDeclaration
from .environment import Bound


@dataclass(eq=False)
class FunctionDefinition:
    """A `fn`, and the file whose names it may read."""

    module: Module
    declaration: FunctionDeclaration
    noun: ClassVar[str] = "function"

    @property
    def name(self) -> str:
        return self.declaration.name

    @property
    def name_span(self) -> Span:
        return self.declaration.name_span

    @property
    def signature(self) -> str:
        """`twice(a)`."""
        return f"{self.name}({', '.join(name.id for name in self.declaration.parameters)})"


@dataclass(eq=False)
class CellDefinition:
    """A `cell`, with a body or a chain, and the file whose names it may read."""

    module: Module
    declaration: CellDeclaration | ChainDeclaration
    noun: ClassVar[str] = "cell"

    @property
    def name(self) -> str:
        return self.declaration.name

    @property
    def name_span(self) -> Span:
        return self.declaration.name_span

    @cached_property
    def signature(self) -> str:
        """`LSTM(inputs, hidden)`, defaults as written."""
        parts = (
            setting.name if setting.default is None else setting.span.text
            for setting in self.declaration.settings
        )
        return f"{self.name}({', '.join(' '.join(part.split()) for part in parts)})"


Definition: TypeAlias = CellDefinition | FunctionDefinition


@dataclass(eq=False)
class Module:
    """One file. `declared` is all it declares, `definitions` what a name means in it."""

    file: File
    declared: list[Definition] = field(default_factory=list)
    definitions: dict[str, Definition] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)  # where each got its name in this file
    unknown: set[str] = field(default_factory=set)  # imported in vain: a problem says so already
    uses: dict[Span, Bound] = field(default_factory=dict)  # what the names of its bodies stand for

    def own(self) -> Sequence[Definition]:
        """What the file itself declares, in its order."""
        return [found for found in self.definitions.values() if found.module is self]
