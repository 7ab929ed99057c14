"""The kernels of a scan over chunks of time, as source: of h' = a h + b at each place.

In: how many states of a place read each other. Out: text: three kernels, and `scanned`, which
launches them. For one state `a` is a number, for two a matrix, and so are their products.
"""

from __future__ import annotations

from string import Template

from . import KernelSignature

BLOCK, WARPS = 32, 1  # places, and warps, of each program

_SOURCE = Template('''\
@triton.jit(do_not_specialize=["T", "CHUNK"])
def chunk_ends$width($a, $b, ends, T, N, CHUNK, BLOCK: tl.constexpr, REVERSE: tl.constexpr):
    """Of each chunk of steps, the product of `a` and the state it ends in from 0."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    chunk, m = tl.program_id(1).to(tl.int64), i < N
    first = chunk * CHUNK
    zero = tl.zeros((BLOCK,), ends.dtype.element_ty)
    one = zero + 1.0
    $w = $identity
    $h = $zeros
    for turn in range(0, CHUNK):
        t = tl.minimum(first + turn, T - 1)
        at = (T - 1 - t if REVERSE else t) * N + i
        here = i < tl.where(first + turn < T, N, 0)
        $read
        $advance
        $multiply
    slot = $slots * chunk
    $write_ends


@triton.jit(do_not_specialize=["CHUNKS"])
def chunk_starts$width(ends, $start, $last, N, CHUNKS, BLOCK: tl.constexpr):
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


@triton.jit(do_not_specialize=["T", "CHUNK"])
def chunk_states$width(
    $a, $b, ends, $states, T, N, CHUNK, BLOCK: tl.constexpr, REVERSE: tl.constexpr
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


def scanned$width($a, $b, $start, reverse):
    """The states before every step, and the last ones."""
    T, N = $any_a.shape[0], $any_start.numel()
    chunk = max(16, triton.next_power_of_2(max(T, 1)) // 64)
    chunks, grid = triton.cdiv(T, chunk), triton.cdiv(N, SCAN)
    $make_states
    $make_last
    ends = torch.empty((chunks, $slots, N), dtype=$any_a.dtype, device=$any_a.device)
    if T:
        chunk_ends$width[(grid, chunks)](
            $a, $b, ends, T, N, chunk, SCAN, reverse, num_warps=$warps
        )
    chunk_starts$width[(grid,)](ends, $start, $last, N, chunks, SCAN, num_warps=$warps)
    if T:
        chunk_states$width[(grid, chunks)](
            $a, $b, ends, $states, T, N, chunk, SCAN, reverse, num_warps=$warps
        )
    return $states, $last
''')


class ScanSource:
    """Source and signatures of the kernels for groups of `width` states."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.suffix = str(width) if width > 1 else ""
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
        scalars = {"chunk_starts": ("N", "CHUNKS")}
        return tuple(
            KernelSignature(
                f"{name}{self.suffix}",
                tuple((pointer, "wide") for pointer in pointers),
                scalars.get(name, ("T", "N", "CHUNK")),
                (("BLOCK", BLOCK), *(() if name in scalars else turned)),
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
        unit = [int(i == j) for i, j in self.places]
        return _SOURCE.substitute(
            width=self.suffix, slots=len(slots), warps=WARPS,
            a=", ".join(a), b=", ".join(self.vector("b")), h=", ".join(h), w=", ".join(w),
            start=", ".join(start), last=", ".join(last), states=", ".join(states),
            any_a=a[0], any_start=start[0],
            identity=", ".join("one" if same else "zero" for same in unit),
            zeros=", ".join("zero" for _ in h),
            read=_lines(8, [
                *(f"{v} = tl.load({p} + at, mask=here, other={same})"
                  for v, p, same in zip(x, a, unit, strict=True)),
                *(f"{v} = tl.load({p} + at, mask=here, other=0)"
                  for v, p in zip(y, self.vector("b"), strict=True)),
            ]),
            advance=_lines(8, self._advance(x, h, y)),
            multiply=_lines(8, self._multiply(x, w)),
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

    def _unless_reset(self, x: list[str], i: int, fresh: str, terms: str) -> str:
        """What follows at a place: what is reset forgets even a NaN."""
        row = x[i * self.width : (i + 1) * self.width]
        tests = " & ".join(f"({v} == 0)" if len(row) > 1 else f"{v} == 0" for v in row)
        return f"tl.where({tests}, {fresh}, {terms})"

    def _advance(self, x: list[str], h: list[str], y: list[str]) -> list[str]:
        """h = x h + y."""
        values = []
        for i in self.rows:
            terms = " + ".join(f"{x[i * self.width + j]} * {h[j]}" for j in self.rows)
            values.append(self._unless_reset(x, i, y[i], f"{terms} + {y[i]}"))
        return _assigned(h, values)

    def _multiply(self, x: list[str], w: list[str]) -> list[str]:
        """w = x w."""
        values, k = [], self.width
        for i, j in self.places:
            terms = " + ".join(f"{x[i * k + by]} * {w[by * k + j]}" for by in self.rows)
            values.append(self._unless_reset(x, i, "0.0", terms))
        return _assigned(w, values)


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
