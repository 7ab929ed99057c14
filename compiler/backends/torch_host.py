"""What runs beside a kernel: tensors by node, and map kernels of elementwise nodes.

In: nodes of a plan that no loop kernel computes, or those of the step itself. Out: lines of the
module's `run`, in which every node is a tensor with its leading axes, then its trailing ones, and
the map kernels they launch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ..grouping import domain_of, factors, in_groups, is_outer, renamed, unshaped
from ..ir import Node, counts_steps
from ..shapes import size
from . import KernelSignature
from .torch_calls import DTYPES, EMITTERS, is_of_weights, node_lead, shape_of
from .torch_einsum import arranged
from .triton_map import Arrays, Written, map_kernel
from .triton_values import Strided, extents
from .writer import Names, Writer, in_lines

# What map kernels read where it lies; a tensor of its own is made for those who ask for one.
SEEN_THROUGH = ("at", "broadcast", "diagonal", "flip", "reshape", "slice", "spread",
                "stop_gradient", "transpose")  # fmt: skip
VIEWS = (*(op for op in SEEN_THROUGH if op != "flip"), "stack")  # torch copies what it flips
NARROWING = ("accumulate", "einsum", "stack")  # their results have the program's own type
SUMMING = ("cumsum", "einsum", "sum")  # their results of weights are wide, whatever they read


class Host:
    """The host's part of a module: tensors by node, and lines that make them."""

    def __init__(self, *, fuses: bool = True) -> None:
        self.out = Writer()
        self.fuses = fuses  # whether kernels fuse products and sums
        self.fresh = Names()
        self.names: dict[Node, str] = {}
        self.given: set[str] = set()  # names of the arguments
        self.lasts: dict[str, str] = {}  # carry -> its last value
        self.alias: dict[Node, Node] = {}  # what is another node's tensor, though no view of it
        self.kernels: list[str] = []
        self.signatures: list[KernelSignature] = []
        self._allocated: set[str] = set()
        self._wide = False
        self.wide: set[Node] = set()  # whose tensors have the carries' type
        self._rounded: dict[Node, str] = {}  # wide nodes as operands of products
        self._settled: dict[tuple[Node, bool], str] = {}  # contiguous copies; whether narrow ones
        self.arranged: dict[
            tuple[Node, tuple[int, ...] | None], str
        ] = {}  # weights, by their order
        self.unkept: list[Node] = []  # of what the loop keeps of every step, what nobody wrote yet
        self.reverse = False  # whether the loop goes back in time

    @contextmanager
    def keeping_wide(self) -> Iterator[None]:
        """Within it, values are kept in the carries' type, and rounded for products alone."""
        self._wide = True
        try:
            yield
        finally:
            self._wide = False

    def fed(self, node: Node, product: Node) -> str:
        """A node as the operand of a product."""
        if is_of_weights(product):
            return self.widened(node, product)
        if node in self._rounded:
            return self._rounded[node]
        name = self.name(node)
        return f"{name}.to(dtype)" if self._wide or node in self.wide else name

    def round(self, node: Node) -> None:
        """Make the operand of products that a wide node is once, before all that read it."""
        if node in self.wide and node not in self._rounded:
            self._rounded[node] = name = self.fresh("v")
            self.out(f"{name} = {self.names[node]}.to(dtype)")

    def arrange(self, product: Node, side: int) -> None:
        """Bring a weight's axes into the order that a product wants, before all that read it."""
        node, order = product.args[side], arranged(product, side)
        if order is not None and (node, order) not in self.arranged:
            text = f"{self.fed(node, product)}.permute({', '.join(map(str, order))}).contiguous()"
            self.arranged[node, order] = name = self.fresh("v")
            self.out(f"{name} = {text}")

    def widened(self, node: Node, reader: Node) -> str:
        """A node as the operand of an op of which a result of weights is kept wide."""
        name = self.name(node)
        return f"{name}.to(wide)" if is_of_weights(reader) and node not in self.wide else name

    # -- sections --------------------------------------------------------------------------------

    def section(self, nodes: Sequence[Node], read: Iterable[Node]) -> None:
        """Compute `nodes`, operands first; `read` are those that something else reads."""
        later = _readers(nodes, read)
        for each in in_groups([node for node in nodes if node not in self.names]):
            if isinstance(each, list):
                self._launch(each, later)
            elif each.op.name not in SEEN_THROUGH:
                for arg in each.args:
                    self.know(arg)
                self.set(each, EMITTERS[each.op.name](self, each))

    def _launch(self, group: list[Node], later: dict[Node, set[object]]) -> None:
        """A group as one kernel; its results are what others read."""
        inside, passed, fresh = set(group), dict[str, tuple[str, str]](), Names()

        def pointer(array: Node, prefix: str) -> str:
            """The name of the pointer to an array."""
            tensor = self.contiguous(array)
            element = "wide" if array in self.wide else array.type.kind
            if tensor not in passed:
                passed[tensor] = fresh(prefix), element
            return passed[tensor][0]

        read: dict[Node, Strided] = {}
        outer = {node: factors(node) for node in group if is_outer(node)}
        for arg in dict.fromkeys(a for node in group for a in outer.get(node, node.args)):
            if arg not in inside and arg.op.name != "const":
                array, place = self.place(arg)
                read[arg] = replace(place, base=pointer(array, "x"))
        written = []
        needed = (_computed(n, inside) for n in group if later.get(n, set()) - inside)
        for node in dict.fromkeys(needed):
            self.allocate(node)
            written.append(Written(node, pointer(node, "y")))
        for stack, value in self._kept_by(group, read):
            written.append(Written(value, pointer(stack, "y"), of_steps=True))
        name = f"map{len(self.kernels)}"
        arrays = Arrays(tuple(passed.values()), read, outer, written, self.reverse)
        text, signature = map_kernel(name, group, arrays)
        self.kernels.append(text)
        self.signatures.append(signature)
        lead = node_lead(group[0])
        self.out(f"count = {' * '.join([*lead, str(size(group[0].type.shape))])}")
        clocked = "turn" in signature.scalars
        arguments = [*passed, *(("clock", "T", "turn") if clocked else ()), "B", "count", "BLOCK"]
        arguments += ["real", f"enable_fp_fusion={self.fuses}"]
        self.out(f"{name}[(triton.cdiv(count, BLOCK),)]{in_lines(arguments)}")

    def _kept_by(
        self, group: list[Node], read: Mapping[Node, Strided]
    ) -> Iterator[tuple[Node, Node]]:
        """What is kept of every step and a group has at hand: the stack, and what goes there."""
        domain, count = domain_of(group[0])[0], size(group[0].type.shape)
        held = {unshaped(node): node for node in (*read, *group) if node.type.lead == domain}
        for stack in [s for s in self.unkept if unshaped(s.args[0]) in held]:
            if size(stack.type.shape) == count:
                self.unkept.remove(stack)
                yield stack, held[unshaped(stack.args[0])]

    def place(self, node: Node) -> tuple[Node, Strided]:
        """The array that a node is in, and where: as a view of it, or as all of it."""
        if node.op.name in SEEN_THROUGH:
            array, under = self.place(node.args[0])
            found = under.at(node)
            if found is not None:
                return array, found
        return node, Strided.of("", node)

    # -- tensors ---------------------------------------------------------------------------------

    def give(self, node: Node, prefix: str) -> str:
        """Name an argument."""
        name = self.names[node] = self.fresh(prefix)
        self.given.add(name)
        if prefix == "x" and counts_steps(node):
            self.wide.add(node)
        return name

    def root(self, node: Node) -> str:
        """Whose memory a node's tensor may be: that of an argument, or of a tensor made here."""
        own = self.given | self._allocated
        while (above := self._under(node)) is not None and self.names.get(node) not in own:
            node = above
        return self.name(node)

    def _under(self, node: Node) -> Node | None:
        """The node whose tensor a node's is a view of."""
        return self.alias.get(node) or (node.args[0] if node.op.name in VIEWS else None)

    def is_fresh(self, node: Node) -> bool:
        """Whether a node's tensor was allocated for it alone, contiguous."""
        return self.name(node) in self._allocated

    def set(self, node: Node, expression: str) -> str:
        """Name a tensor."""
        name = self.names[node] = self.fresh("v")
        if self._is_made_wide(node):
            self.wide.add(node)
        self.out(f"{name} = {expression}")
        return name

    def allocate(self, node: Node, prefix: str = "v") -> str:
        """An uninitialised tensor for a node."""
        name = self.names[node] = self.fresh(prefix)
        self._allocated.add(name)
        if self.keeps_wide(node):
            self.wide.add(node)
        self.out(f"{name} = {self.empty(node)}")
        return name

    def own(self, node: Node, prefix: str) -> str:
        """Name a contiguous tensor in the carries' type, which a line that follows makes."""
        name = self.names[node] = self.fresh(prefix)
        self._allocated.add(name)
        self.wide.add(node)
        return name

    def empty(self, node: Node, dtype: str | None = None) -> str:
        """`torch.empty` of a node's shape."""
        dtype = dtype or ("wide" if self.keeps_wide(node) else DTYPES[node.type.kind])
        return f"torch.empty({shape_of(node)}, dtype={dtype}, device=device)"

    def keeps_wide(self, node: Node) -> bool:
        """Whether a result that is wide when it is computed stays so."""
        is_wide = self._wide or is_of_weights(node) or counts_steps(node)
        return node.type.kind == "real" and is_wide

    def _is_made_wide(self, node: Node) -> bool:
        """Whether what `EMITTERS` make of a node has the carries' type."""
        if counts_steps(node):
            return True
        match node.op.name:
            case "iota":
                return True
            case "solve":
                return self.keeps_wide(node)
            case op if op in SUMMING and is_of_weights(node):
                return True
            case op:
                return op not in NARROWING and any(a in self.wide for a in node.args)

    def know(self, node: Node) -> None:
        """Numbers and views are made where they are first read."""
        if node not in self.names and node.op.name in ("const", "iota", *SEEN_THROUGH):
            self.set(node, EMITTERS[node.op.name](self, node))

    def name(self, node: Node) -> str:
        self.know(node)
        return self.names[node]

    def contiguous(self, node: Node) -> str:
        """A node for a kernel, which counts on its strides."""
        if (node, False) in self._settled:
            return self._settled[node, False]
        name = self.name(node)
        return name if name in self._allocated | self.given else f"{name}.contiguous()"

    def settled(self, node: Node, *, narrow: bool = False) -> str:
        """A name for a node's contiguous tensor, made now; `narrow` rounds what is wide."""
        found = self.contiguous(node)
        if narrow:
            found += ".to(dtype)"
        if not found.isidentifier():
            if (node, narrow) not in self._settled:
                self._settled[node, narrow] = name = self.fresh("v")
                self.out(f"{name} = {found}")
            found = self._settled[node, narrow]
        return found

    def spread(self, node: Node, lead: str) -> str:
        """A tensor with these leading axes, those it lacks repeated."""
        name, mine = self.name(node), node.type.lead
        if mine == lead:
            return name
        return f"{self.facing(node, lead)}.expand({', '.join([*lead, *map(str, extents(node))])})"

    def facing(self, node: Node, lead: str) -> str:
        """A tensor with an axis of size 1 for each leading axis it lacks."""
        name, mine = self.name(node), node.type.lead
        if mine == lead:
            return name
        index = ", ".join([*(":" if x in mine else "None" for x in lead), "..."])
        return f"{name}[{index}]"


def _computed(node: Node, inside: Collection[Node]) -> Node:
    """What a group computes where a node has only another name for it."""
    while (value := renamed(node)) in inside:
        assert value is not None
        node = value
    return node


def _readers(nodes: Sequence[Node], read: Iterable[Node]) -> dict[Node, set[object]]:
    """Node -> who reads it; what is read elsewhere has a reader that is no node of these."""
    found: dict[Node, set[object]] = {}
    for node in nodes:
        for arg in node.args:
            found.setdefault(arg, set()).add(node)
    for node in read:
        found.setdefault(node, set()).add(_ELSEWHERE)
    return found


_ELSEWHERE = object()  # stands for any reader beyond the section
