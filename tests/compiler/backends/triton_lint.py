"""A lint over generated Triton modules: what no run shows, as a run that goes well may be luck.

In: a module and the scan it was made from. Out: findings, a line each:

    range    every access is in its array, at every T and B, by its mask and its indices alone
    race     no program reads what another program of the same launch writes
    scalar   no mask joins a scalar to a vector: the interpreter of Triton 3.9 does not take it
    width    what is multiplied by T, B or a program's number is 64 bits wide
    atomics  none: sums have one order
    launch   kernels are passed what their signatures say, contiguous
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from rnnc.compiler.backends import KernelSignature, Module
from rnnc.compiler.ir import Scan
from rnnc.runtime.rehearse import STEP_NUMBERS, Array, Launch, rehearse
from tests.compiler.backends.polynomials import ONE, ZERO, Polynomial
from tests.compiler.backends.triton_ranges import Bounds, Indices, Range

STEPS = Polynomial.read("T")


def lint(module: Module, scan: Scan, dtype: str = "bfloat16") -> list[str]:
    """Everything that is wrong with a module."""
    tree = ast.parse(module.source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = list(_atomics(tree))
    signatures = {kernel.name: kernel for kernel in module.kernels}
    launched = rehearse(module, scan, dtype).launches
    names = {launch.kernel for launch in launched}
    found += [f"launch: {name} never is" for name in signatures.keys() - names]
    found += [f"launch: {name} has no signature" for name in names - signatures.keys()]
    for launch in launched:
        if launch.kernel not in signatures:
            continue
        check = _Check(functions[launch.kernel], signatures[launch.kernel], launch, dtype)
        found += [f"{launch.kernel}: {line}" for line in check.findings()]
    return list(dict.fromkeys(found))


def _atomics(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and "atomic" in node.attr:
            yield f"atomics: {ast.unparse(node)}"


class _Check:
    """One kernel, launched in one way."""

    def __init__(
        self, kernel: ast.FunctionDef, signature: KernelSignature, launch: Launch, dtype: str
    ) -> None:
        self.kernel, self.signature, self.launch, self.dtype = kernel, signature, launch, dtype
        known = {name: _exactly(value) for name, value in signature.constants}
        for name, kind in signature.scalars:
            value = launch.arguments[name]
            assert isinstance(value, str)
            is_step = name in STEP_NUMBERS  # a launch may be for any part of the steps
            given = Range(ZERO, STEPS) if is_step else _exactly(Polynomial.read(value))
            known[name] = replace(given, wide=kind == "int64")
        self.indices = Indices(kernel, known, tuple(map(Polynomial.read, launch.grid)))
        self.accesses = list(self._accesses())

    def findings(self) -> Iterator[str]:
        yield from self._passed()
        for access in self.accesses:
            yield from self._in_range(access)
            yield from self._scalars(access)
        for text in self.indices.narrow:
            yield f"width: {text} is computed in 32 bits"
        yield from self._races()

    # -- what is passed --------------------------------------------------------------------------

    def _array(self, name: str) -> Array:
        found = self.launch.arguments[name]
        assert isinstance(found, Array)
        return found

    def _passed(self) -> Iterator[str]:
        wide = "float64" if self.dtype == "float64" else "float32"
        dtypes = {"real": self.dtype, "wide": wide, "bool": "bool", "int": "int64"}
        for name, element in self.signature.pointers:
            array = self._array(name)
            if not array.is_contiguous:
                yield f"launch: {name} is not contiguous"
            if array.dtype != dtypes[element]:
                yield f"launch: {name} is {array.dtype}, and its signature says {element}"
        annotated = {
            a.arg: ast.unparse(a.annotation) for a in self.kernel.args.args if a.annotation
        }
        for name, kind in self.signature.scalars:
            if annotated.get(name, "tl.int32") != f"tl.{kind}":
                yield f"launch: {name} is {annotated.get(name)}, and its signature says {kind}"

    # -- range -----------------------------------------------------------------------------------

    def _accesses(self) -> Iterator[ast.Call]:
        for node in ast.walk(self.kernel):
            match node:
                case ast.Call(ast.Attribute(ast.Name("tl"), "load" | "store")):
                    yield node

    def _bounds(self, access: ast.Call) -> Bounds:
        """What the mask of an access keeps to."""
        return self.indices.bounds({k.arg: k.value for k in access.keywords}.get("mask"))

    def _parts(self, access: ast.Call) -> tuple[str, list[ast.expr]]:
        """The pointer of an access, and the terms of its offset."""
        pointers = {name for name, _ in self.signature.pointers}
        terms = list(self.indices.terms(access.args[0], self._bounds(access)))
        (base,) = [t.id for t in terms if isinstance(t, ast.Name) and t.id in pointers]
        return base, [t for t in terms if not (isinstance(t, ast.Name) and t.id == base)]

    def _in_range(self, access: ast.Call) -> Iterator[str]:
        name, terms = self._parts(access)
        given = {keyword.arg for keyword in access.keywords}
        if _kind(access) == "load" and "mask" in given and "other" not in given:
            yield f"range: {ast.unparse(access)} leaves open what padding holds"
        bounds, size = self._bounds(access), ONE
        for dim in self._array(name).shape:
            size *= Polynomial.read(dim)
        low = high = ZERO
        for term in terms:
            found = self._index(term, size) or self.indices.range(term, bounds)
            if found.low is None or found.high is None:
                yield f"range: {ast.unparse(access)}: nothing bounds {ast.unparse(term)}"
                return
            low, high = low + found.low, high + found.high
        if not low.is_never_negative():
            yield f"range: {ast.unparse(access)} may begin before {name}"
        if not (size - ONE - high).is_never_negative():
            yield f"range: {ast.unparse(access)} may reach element {high} of {size}"

    def _index(self, term: ast.expr, size: Polynomial) -> Range | None:
        """The range of an index that was read from memory: the host has checked it."""
        stride = 1
        match term:
            case ast.BinOp(value, ast.Mult(), ast.Constant(int(stride))):
                term = value
        while isinstance(term, ast.Subscript):
            term = term.value
        if not isinstance(term, ast.Name):
            return None
        source = self.indices.definitions.get(term.id)
        elements = dict(self.signature.pointers)
        if isinstance(source, ast.Call) and source in self.accesses:
            if elements[self._parts(source)[0]] == "int":
                return Range(ZERO, size - Polynomial.of(stride), True)
        return None

    # -- scalar ----------------------------------------------------------------------------------

    def _scalars(self, access: ast.Call) -> Iterator[str]:
        """What a mask compares that is the same for every element."""
        masks = [k.value for k in access.keywords if k.arg == "mask"]
        parts = [part for mask in masks for part in _conjuncts(_read(self.indices.text(mask)))]
        for part in parts:
            text = ast.unparse(part)
            if isinstance(part, ast.Compare) and "tl.arange" not in text:
                yield f"scalar: {ast.unparse(access)} masks by {text}"

    # -- races -----------------------------------------------------------------------------------

    def _races(self) -> Iterator[str]:
        """A stored array is read by nobody, or each row by the program that writes it."""
        memory = {name: self._array(name).memory for name, _ in self.signature.pointers}
        stored = {memory[self._parts(a)[0]] for a in self.accesses if _kind(a) == "store"}
        read = {memory[self._parts(a)[0]] for a in self.accesses if _kind(a) == "load"}
        for shared in sorted(stored & read):
            mine = [a for a in self.accesses if memory[self._parts(a)[0]] == shared]
            if not all(self._is_of_its_rows(a) for a in mine):
                yield f"race: {shared} is stored to and loaded from"

    def _is_of_its_rows(self, access: ast.Call) -> bool:
        """Whether a program touches elements of its own rows alone.

        An offset is then `outer + row * stride + inner`, with `inner` within the stride and `outer`
        a multiple of what all rows have together.
        """
        parts, bounds = self._parts(access)[1], self._bounds(access)
        by_row = [t for t in parts if "program_id(0)" in self.indices.text(t)]
        if len(by_row) != 1 or any("program_id(1)" in self.indices.text(t) for t in parts):
            return False
        rows = self.indices.range(by_row[0], bounds).high
        if rows is None:
            return False
        stride = self.indices.factor(by_row[0])
        inside, whole = ZERO, rows + stride
        for part in parts:
            if part is by_row[0] or self.indices.factor(part).over(whole):
                continue
            found = self.indices.range(part, bounds)
            if found.high is None or not (found.low and found.low.is_never_negative()):
                return False
            inside += found.high
        return (stride - ONE - inside).is_never_negative()


def _kind(access: ast.Call) -> str:
    assert isinstance(access.func, ast.Attribute)
    return access.func.attr


def _read(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _conjuncts(mask: ast.expr) -> Iterator[ast.expr]:
    if isinstance(mask, ast.BinOp) and isinstance(mask.op, ast.BitAnd):
        yield from _conjuncts(mask.left)
        yield from _conjuncts(mask.right)
    else:
        yield mask


def _exactly(value: int | Polynomial) -> Range:
    found = Polynomial.of(value) if isinstance(value, int) else value
    return Range(found, found)
