"""The kernels of a scan over chunks of time, as source: of h' = a h + b at each place.

In: how many states of a place read each other, and what adds. Out: text: three kernels, and
`scanned`, which launches them. For one state `a` is a number, for two a matrix, and so are their
products. What adds may be a maximum, and then a sum is what multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Literal

from ..extremum import NOTHING, Join
from ..ops import OPS
from . import KernelSignature

BLOCK, WARPS = 32, 1  # places, and warps, of each program

_SOURCE = Template('''\
@triton.jit(do_not_specialize=["T", "N", "CHUNK"])
def chunk_ends$suffix(
    $a, $b, ends, T, N: tl.int64, CHUNK, BLOCK: tl.constexpr, REVERSE: tl.constexpr
):
    """Of each chunk of steps, the product of `a` and the state it ends in from 0."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    chunk, m = tl.program_id(1).to(tl.int64), i < N
    first = chunk * CHUNK
    zero = tl.full((BLOCK,), $zero, ends.dtype.element_ty)
    one = tl.full((BLOCK,), $one, ends.dtype.element_ty)
    $w = $identity
    $h = $zeros
    for turn in range(0, CHUNK):
        t = tl.minimum(first + turn, T - 1)
        at = (T - 1 - t if REVERSE else t) * N + i
        here = i < tl.where(first + turn < T, N, 0)
        $read
        $gather
    slot = $slots * chunk
    $write_ends


@triton.jit(do_not_specialize=["N", "CHUNKS"])
def chunk_starts$suffix(ends, $start, $last, N: tl.int64, CHUNKS, BLOCK: tl.constexpr):
    """The state before each chunk, written over the product; and after the last one."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m = i < N
    $read_start
    for chunk in range(0, CHUNKS):
        slot = $slots * tl.cast(chunk, tl.int64)
        $read_ends
        $write_starts
        $advance
    $write_last


@triton.jit(do_not_specialize=["T", "N", "CHUNK"])
def chunk_states$suffix(
    $a, $b, ends, $states, T, N: tl.int64, CHUNK, BLOCK: tl.constexpr, REVERSE: tl.constexpr
):
    """The state before every step."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    chunk, m = tl.program_id(1).to(tl.int64), i < N
    first = chunk * CHUNK
    slot = $slots * chunk
    $read_starts
    for turn in range(0, CHUNK):
        t = tl.minimum(first + turn, T - 1)
        at = (T - 1 - t if REVERSE else t) * N + i
        here = i < tl.where(first + turn < T, N, 0)
        $read
        $write_states
        $advance


def scanned$suffix($a, $b, $start, reverse):
    """The states before every step, and the last ones."""
    T, N = $any_a.shape[0], $any_start.numel()
    chunk = max(16, triton.next_power_of_2(max(T, 1)) // 64)
    chunks, grid = triton.cdiv(T, chunk), triton.cdiv(N, SCAN)
    $make_states
    $make_last
    ends = torch.empty((chunks, $slots, N), dtype=$any_a.dtype, device=$any_a.device)
    if T:
        chunk_ends$suffix[(grid, chunks)](
            $a, $b, ends, T, N, chunk, SCAN, reverse, num_warps=$warps
        )
    chunk_starts$suffix[(grid,)](ends, $start, $last, N, chunks, SCAN, num_warps=$warps)
    if T:
        chunk_states$suffix[(grid, chunks)](
            $a, $b, ends, $states, T, N, chunk, SCAN, reverse, num_warps=$warps
        )
    return $states, $last
''')


@dataclass(frozen=True, slots=True)
class Semiring:
    """What adds and multiplies, and the numbers that then are 0 and 1."""

    sum: str
    product: str
    zero: str
    one: str

    def add(self, terms: list[str]) -> str:
        """The sum of some terms."""
        found, *rest = terms
        for term in rest:
            found = self.sum.format(found, term)
        return found


SEMIRINGS: dict[str, Semiring] = {
    "add": Semiring("{0} + {1}", "{0} * {1}", "0", "1"),
    **{
        join: Semiring(OPS[join].spell["triton"], "{0} + {1}", f'float("{nothing}")', "0")
        for join, nothing in NOTHING.items()
    },
}


class ScanSource:
    """Source and signatures of the kernels for groups of `width` states that `join` adds."""

    def __init__(self, width: int, join: Literal["add"] | Join = "add") -> None:
        self.width = width
        self.join, self.semiring = join, SEMIRINGS[join]
        self.suffix = f"_{join}" * (join != "add") + f"{width}" * (width > 1)
        self.rows = range(width)
        self.places = [(i, j) for i in self.rows for j in self.rows]

    def vector(self, letter: str) -> list[str]:
        """`h0`, `h1`; of a single one `h`."""
        return [f"{letter}{i}" if self.width > 1 else letter for i in self.rows]

    def matrix(self, letter: str) -> list[str]:
        """`a00`, `a01`, `a10`, `a11`; of a single one `a`."""
        return [f"{letter}{i}{j}" if self.width > 1 else letter for i, j in self.places]

    @property
    def pointers(self) -> dict[str, list[str]]:
        """The arrays of each kernel, in their order."""
        a, b = self.matrix("a"), self.vector("b")
        starts = [*self.vector("start"), *self.vector("last")]
        return {
            "chunk_ends": [*a, *b, "ends"],
            "chunk_starts": ["ends", *starts],
            "chunk_states": [*a, *b, "ends", *self.vector("states")],
        }

    def signatures(self, reverse: bool) -> tuple[KernelSignature, ...]:
        """As the compiler wants to know them."""
        turned = (("REVERSE", int(reverse)),)
        place = ("N", "int64")
        starts = {"chunk_starts": (place, ("CHUNKS", "int32"))}
        chunks = (("T", "int32"), place, ("CHUNK", "int32"))
        return tuple(
            KernelSignature(
                f"{name}{self.suffix}",
                tuple((pointer, "wide") for pointer in pointers),
                starts.get(name, chunks),
                (("BLOCK", BLOCK), *(() if name in starts else turned)),
                (),
                WARPS,
                "all steps",
            )
            for name, pointers in self.pointers.items()
        )

    def text(self) -> str:
        """The kernels, and `scanned`."""
        a, w, x = self.matrix("a"), self.matrix("w"), self.matrix("x")
        h, y, states = self.vector("h"), self.vector("y"), self.vector("states")
        start, last = self.vector("start"), self.vector("last")
        slots = [f"ends + (slot + {at}) * N + i" for at in range(len(w) + len(h))]
        ring = self.semiring
        unit = [ring.one if i == j else ring.zero for i, j in self.places]
        return _SOURCE.substitute(
            suffix=self.suffix, slots=len(slots), warps=WARPS, zero=ring.zero, one=ring.one,
            a=", ".join(a), b=", ".join(self.vector("b")), h=", ".join(h), w=", ".join(w),
            start=", ".join(start), last=", ".join(last), states=", ".join(states),
            any_a=a[0], any_start=start[0],
            identity=", ".join("one" if i == j else "zero" for i, j in self.places),
            zeros=", ".join("zero" for _ in h),
            read=_lines(8, [
                *(f"{v} = tl.load({p} + at, mask=here, other={same})"
                  for v, p, same in zip(x, a, unit, strict=True)),
                *(f"{v} = tl.load({p} + at, mask=here, other={ring.zero})"
                  for v, p in zip(y, self.vector("b"), strict=True)),
            ]),
            gather=_lines(8, self._gather(x, w, h, y)),
            advance=_lines(8, self._advance(x, h, y)),
            write_ends=_lines(4, _stores(slots, [*w, *h])),
            read_start=_lines(4, _loads(h, [f"{p} + i" for p in start])),
            read_ends=_lines(8, [
                *(f"{v} = tl.load({p}, mask=m, other={same})"
                  for v, p, same in zip(x, slots, unit, strict=False)),
                *_loads(y, slots[len(x):]),
            ]),
            write_starts=_lines(8, _stores(slots, h)),
            write_last=_lines(4, _stores([f"{p} + i" for p in last], h)),
            read_starts=_lines(4, _loads(h, slots)),
            write_states=_lines(8, [f"tl.store({p} + at, {v}, mask=here)"
                                    for p, v in zip(states, h, strict=True)]),
            make_states=_lines(4, [f"{v} = torch.empty_like({a[0]})" for v in states]),
            make_last=_lines(4, [f"{v} = torch.empty_like({p})"
                                 for v, p in zip(last, start, strict=True)]),
        )  # fmt: skip

    def _gather(self, x: list[str], w: list[str], h: list[str], y: list[str]) -> list[str]:
        """w = x w and h = x h + y, from 1 and 0: of a chunk, the product and what it adds."""
        if self.join == "add":
            return [*self._advance(x, h, y), *self._multiply(x, w)]
        zero = self.semiring.zero
        # NaN comes of infinite factors where it does step by step: before a chunk has added
        # anything, of the state before it alone; later, what they make of the chunk's own `h` says
        # all there is to say, and `w` may be without them.
        return [
            f"is_new = h == {zero}",
            'is_said = (tl.abs(x) == float("inf")) & (is_new == 0)',
            f"w = tl.where((x == {zero}) | (w == {zero}), {zero}, tl.where(is_said, w, x + w))",
            f"h = tl.where(is_new & (w != {zero}), y, {self._next(x, h, *y)})",
        ]

    def _next(self, row: list[str], old: list[str], *more: str) -> str:
        """What follows at a place: what is reset forgets even a NaN."""
        ring = self.semiring
        tests = [f"{v} == {ring.zero}" for v in row]
        test = tests[0] if len(row) == 1 else " & ".join(f"({t})" for t in tests)
        terms = [ring.product.format(a, v) for a, v in zip(row, old, strict=True)]
        return f"tl.where({test}, {(*more, ring.zero)[0]}, {ring.add([*terms, *more])})"

    def _advance(self, x: list[str], h: list[str], y: list[str]) -> list[str]:
        """h = x h + y."""
        return _assigned(h, [self._next(self._row(x, i), h, y[i]) for i in self.rows])

    def _multiply(self, x: list[str], w: list[str]) -> list[str]:
        """w = x w."""
        columns = [w[j :: self.width] for j in self.rows]
        return _assigned(w, [self._next(self._row(x, i), columns[j]) for i, j in self.places])

    def _row(self, matrix: list[str], i: int) -> list[str]:
        return matrix[i * self.width : (i + 1) * self.width]


def _assigned(names: list[str], values: list[str]) -> list[str]:
    """Assignments of values that are all computed from the old ones."""
    if len(names) == 1:
        return [f"{names[0]} = {values[0]}"]
    news = [f"new_{name}" for name in names]
    lines = [f"{new} = {value}" for new, value in zip(news, values, strict=True)]
    return [*lines, f"{', '.join(names)} = {', '.join(news)}"]


def _loads(names: list[str], places: list[str]) -> list[str]:
    pairs = zip(names, places, strict=False)
    return [f"{name} = tl.load({place}, mask=m, other=0)" for name, place in pairs]


def _stores(places: list[str], names: list[str]) -> list[str]:
    pairs = zip(places, names, strict=False)
    return [f"tl.store({place}, {name}, mask=m)" for place, name in pairs]


def _lines(depth: int, lines: list[str]) -> str:
    return ("\n" + " " * depth).join(lines)
