"""What runs beside a kernel: tensors by node, and map kernels of elementwise nodes.

In: nodes of a plan that no loop kernel computes, or those of the step itself. Out: lines of the
module's `run`, in which every node is a tensor with its leading axes, then its trailing ones, and
the map kernels they launch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..ir import Node, counts_steps
from ..shapes import size
from . import KernelSignature
from .torch_calls import DTYPES, EMITTERS, is_of_weights, node_lead, shape_of
from .triton_map import map_kernel
from .triton_values import extents
from .writer import Names, Writer

VIEWS = ("at", "broadcast", "diagonal", "reshape", "slice", "spread", "stack", "stop_gradient",
         "transpose")  # fmt: skip
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
        self._group: list[Node] = []  # elementwise nodes of one shape, not yet launched

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
        is_wide = self._wide or node in self.wide
        return f"{self.name(node)}.to(dtype)" if is_wide else self.name(node)

    def round(self, node: Node) -> None:
        """Make the operand of products that a wide node is once, before all that read it."""
        if node in self.wide and node not in self._rounded:
            self._rounded[node] = name = self.fresh("v")
            self.out(f"{name} = {self.names[node]}.to(dtype)")

    def widened(self, node: Node, reader: Node) -> str:
        """A node as the operand of an op of which a result of weights is kept wide."""
        is_narrow = is_of_weights(reader) and node not in self.wide
        return f"{self.name(node)}.to(wide)" if is_narrow else self.name(node)

    # -- sections --------------------------------------------------------------------------------

    def section(self, nodes: Sequence[Node], read: Iterable[Node]) -> None:
        """Compute `nodes`, operands first; `read` are those that something else reads."""
        later = _readers(nodes, read)
        for node in nodes:
            if node in self.names:
                continue
            if node.op.pointwise:
                if self._group and _domain(self._group[0]) != _domain(node):
                    self._launch(later)
                for arg in node.args:
                    self.know(arg)
                self._group.append(node)
                continue
            if any(a in self._group for a in node.args):
                self._launch(later)
            for arg in node.args:
                self.know(arg)
            self.set(node, EMITTERS[node.op.name](self, node))
        self._launch(later)

    def _launch(self, later: dict[Node, set[object]]) -> None:
        """The present group as one kernel; its results are what others read."""
        group, self._group = self._group, []
        if not group:
            return
        inside = set(group)
        results = [n for n in group if later.get(n, set()) - inside]
        name = f"map{len(self.kernels)}"
        operands: dict[Node, str] = {}
        for node in group:
            for arg in node.args:
                if arg not in inside and arg.op.name != "const":
                    operands[arg] = self.contiguous(arg)
        for node in results:
            self.allocate(node)
        text, signature = map_kernel(name, group, list(operands), results, self.wide)
        self.kernels.append(text)
        self.signatures.append(signature)
        total = " * ".join([*node_lead(group[0]), str(size(group[0].type.shape))])
        arguments = [*operands.values(), *(self.names[n] for n in results), "B", total]
        self.out(f"count = {total}")
        arguments[-1] = "count"
        self.out(
            f"{name}[(triton.cdiv(count, BLOCK),)]({', '.join(arguments)}, BLOCK, real, "
            f"enable_fp_fusion={self.fuses})"
        )

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
        """Leaves without operands are made where they are first read."""
        if node not in self.names and not node.args and node.op.name in ("const", "iota"):
            self.set(node, EMITTERS[node.op.name](self, node))

    def name(self, node: Node) -> str:
        self.know(node)
        return self.names[node]

    def contiguous(self, node: Node) -> str:
        """A node for a kernel, which counts on its strides."""
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


def _domain(node: Node) -> tuple[str, tuple[int, ...]]:
    return node.type.lead, extents(node)


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
