"""The names of one body: bound in order, read after they are bound.

In: statements and expressions, in the order of the source. Out: problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...grammar.problems import Collector, Problem
from ...grammar.problems_of_names import (
    DeclaredInLoop,
    DuplicateName,
    HidesBuiltin,
    StateSetTwice,
)
from ...grammar.problems_of_values import BadInitialiser
from ...grammar.source import Span
from ...grammar.syntax import (
    Argument,
    Bind,
    Call,
    Const,
    For,
    If,
    Keyword,
    Name,
    Param,
    Primed,
    Statement,
    Use,
)
from ...grammar.walk import names_in, statements_in
from .environment import Bound, Environment, Frame, Sort
from .functions import FUNCTIONS
from .hints import did_you_mean
from .link_names import check_links
from .modules import Module
from .parameters import INITIALISERS
from .read_names import CONDITION, ReadNames, bound_by
from .scope import CONSTANTS
from .stream import WORDS
from .tuples import DISCARDED

A_SIZE, AN_INITIAL_VALUE = "a size", "an initial value"


class BodyNames:
    """What is bound so far in the body of a cell or function. Problems go to `problems`."""

    def __init__(self, module: Module, problems: Collector) -> None:
        self.module = module
        self.problems = problems
        self.reads = ReadNames(module, problems)
        self._all: dict[str, Bound] = {}  # every name ever bound, at its first place

    @property
    def environment(self) -> Environment:
        """What is bound here."""
        return self.reads.environment

    def declare_state(self, name: str, span: Span) -> None:
        """Bind a state's old value; its new one may be set below."""
        self.reads.states[name] = span
        self.bind(name, span, "state")

    def unread(self) -> Iterator[tuple[str, Bound]]:
        """Names that were bound and never read, but for those with a `_` in front."""
        for name, bound in self._all.items():
            quiet = name.startswith("_") or bound.sort in ("state", "argument", "loop variable")
            if name not in self.reads.read and not quiet:
                yield name, bound

    # -- statements ----------------------------------------------------------------------------

    def check_body(self, body: Sequence[Statement]) -> None:
        """Check the statements of a whole body, in their order."""
        self.reads.body = body
        for statement in statements_in(body):
            for name, span in bound_by(statement):
                self.reads.later.setdefault(name, span)
        self._check_block(body)

    def _check_block(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self._check_statement(statement)

    def _check_statement(self, statement: Statement) -> None:
        match statement:
            case Bind(target=target, value=value):
                self.reads.defining = statement
                self.reads.check([value])
                self.reads.defining = None
                for name in names_in(target):
                    if isinstance(name, Primed):
                        self._set_state(name)
                    elif name.id != DISCARDED:
                        self.bind(name.id, name.span, "equation")
            case Param(items=items) | Const(items=items):
                self._refuse_in_loop(
                    statement, "param" if isinstance(statement, Param) else "const"
                )
                for item in items:
                    if item.shape is not None:
                        self.reads.check([item.shape], A_SIZE)
                    if item.initial is not None:
                        self.check_initial(item.initial)
                    sort: Sort = "parameter" if isinstance(statement, Param) else "constant"
                    self.bind(item.name, item.name_span, sort)
            case Use(name=name, links=links, name_span=span):
                self._refuse_in_loop(statement, "use")
                check_links(links, self.reads)
                self.bind(name, span, "sub-cell")
            case For(variable=variable, start=start, stop=stop, body=body):
                self.reads.check([start, stop], "a bound of a loop")
                self.environment.frames.append(Frame())
                self.bind(variable.id, variable.span, "loop variable")
                self._check_block(body)
                self.environment.frames.pop()
            case If(condition=condition, body=body, orelse=orelse):
                self.reads.check([condition], CONDITION)
                mark = self.environment.mark()
                self._check_block(body)
                first = self.environment.take_back(mark)
                self._check_block(orelse)
                self.environment.join(first, self.environment.take_back(mark))

    def _refuse_in_loop(self, statement: Statement, word: str) -> None:
        if len(self.environment.frames) > 1:
            span = statement.span
            self.problems.add(
                DeclaredInLoop(
                    f"'{word}' stands within a loop",
                    Span(span.source, span.start, span.start + len(word)),
                    hints=["declare it above the loop; a parameter with one more axis: 'W[l]'"],
                )
            )

    def bind(self, name: str, span: Span, sort: Sort) -> None:
        """Bind a name, which nothing else may have."""
        bound = Bound(span, sort)
        self.module.uses[span] = bound
        before = self.environment.bind(name, bound)
        if name in self.module.definitions:
            before = before or Bound(self.module.spans[name], sort)
        if before is not None:
            self.problems.add(
                DuplicateName(
                    f"'{name}' is defined twice",
                    span,
                    related=[(before.span, f"this {before.sort}" if before.sort != "equation"
                              else "first defined here")],
                    hints=["give one of them another name"],
                )
            )  # fmt: skip
        if name not in self._all:
            self._all[name] = bound
            self.check_hiding(name, span)

    def check_hiding(self, name: str, span: Span) -> None:
        """Warn of a name that hides a built-in one."""
        if any(name in words for words in (FUNCTIONS, CONSTANTS, WORDS)):
            self.problems.add(HidesBuiltin(f"'{name}' hides the built-in '{name}'", span))

    def _set_state(self, state: Primed) -> None:
        if state.id not in self.reads.states:
            self.reads.no_state(state)
            return
        before = self.environment.states_set.get(state.id)
        if before is not None and before.surely:
            self.problems.add(
                StateSetTwice(
                    f"state '{state.id}' is set twice",
                    state.span,
                    related=[(before.span, "first set here")],
                    hints=["set a state once; give intermediate values names of their own"],
                )
            )
        bound = self.module.uses[state.span] = Bound(state.span, "state")
        self.environment.set_state(state.id, bound)

    # -- expressions ---------------------------------------------------------------------------

    def check_initial(self, expression: Argument | Keyword, *, of_state: bool = False) -> None:
        """Check an initial value; a parameter's may be an initialiser by name."""
        match expression:
            case Call(function=Name(id="complex"), arguments=parts) if not self._is_own("complex"):
                for part in parts:
                    self.check_initial(part, of_state=of_state)
                return
            case Name(id=word, span=span) | Call(function=Name(id=word, span=span)):
                own = self._is_own(word)
                if word in INITIALISERS and not own:
                    if of_state:
                        self.problems.add(_initialises_no_state(word, expression.span))
                    elif isinstance(expression, Call):
                        self.reads.check(expression.arguments, AN_INITIAL_VALUE)
                    return
                if isinstance(expression, Name) and not own and word not in self.reads.later:
                    known = word in CONSTANTS or word in WORDS
                    if not known and not of_state:
                        self.problems.add(
                            BadInitialiser(
                                f"there is no initialiser '{word}'",
                                span,
                                hints=[]
                                if self.problems.is_full
                                else did_you_mean(word, [*INITIALISERS, *self.reads.visible()])
                                or ["'rnnc explain bad-initialiser' lists them"],
                            )
                        )
                        return
        self.reads.check([expression], AN_INITIAL_VALUE)

    def _is_own(self, word: str) -> bool:
        """Whether the source has given a word of the language a meaning of its own."""
        return self.environment.find(word) is not None or word in self.module.definitions


def _initialises_no_state(word: str, span: Span) -> Problem:
    if word in ("zeros", "ones"):
        advice = f"write {'0' if word == 'zeros' else '1'}: a number fills the state"
    else:
        advice = f"learn it: 'param h0[n] = {span.text}' in the body, and 'h[n] = h0' here"
    return BadInitialiser(f"'{word}' is how a parameter starts, not a state", span, hints=[advice])
