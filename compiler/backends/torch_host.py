"""What runs beside a kernel: tensors by node, and lines that make them.

In: nodes of a plan. Out: lines of the module's `run`, in which every node is a tensor with its
leading axes, then its trailing ones, and the map kernels that they launch (`torch_groups`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..grouping import is_seen_through
from ..ir import Node, counts_steps
from . import KernelSignature
from .torch_calls import DTYPES, EMITTERS, is_of_weights, shape_of
from .torch_einsum import arranged
from .triton_values import extents
from .writer import Names, Writer

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
        # A carry, or it as products read it -> the tensor for its next value.
        self.nexts: dict[Node, str] = {}
        self.alias: dict[Node, Node] = {}  # what is another node's tensor, though no view of it
        self.kernels: list[str] = []
        self.signatures: list[KernelSignature] = []
        self._allocated: set[str] = set()
        self._wide = False
        self.wide: set[Node] = set()  # whose tensors have the carries' type
        self._rounded: dict[Node, str] = {}  # wide nodes as operands of products
        self._settled: dict[tuple[Node, bool], str] = {}  # contiguous copies; whether narrow ones
        # Weights whose axes lie in the order in which a product of every step wants them.
        self._arranged: dict[tuple[Node, tuple[int, ...]], str] = {}
        self.reads_time = False  # whether a line of the loop reads `t`, the number of the step

    @contextmanager
    def keeping_wide(self) -> Iterator[None]:
        """Within it, values are kept in the carries' type, but those that products alone read."""
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
        return f"{name}.to(dtype)" if node in self.wide else name

    def round(self, node: Node) -> None:
        """Make the operand of products that a wide node is once, before all that read it."""
        if node in self.wide and node not in self._rounded:
            self._rounded[node] = name = self.fresh("v")
            self.out(f"{name} = {self.names[node]}.to(dtype)")

    def operand(self, product: Node, side: int) -> tuple[str, tuple[int, ...]]:
        """An operand of a product, and the order in which its axes lie."""
        node, order = product.args[side], arranged(product, side)
        if order is not None and not is_of_weights(product) and (node, order) in self._arranged:
            return self._arranged[node, order], order
        return self.fed(node, product), tuple(range(node.type.rank))

    def arrange(self, product: Node, side: int) -> None:
        """Bring a weight's axes into the order that a product wants, before all that read it."""
        node, order = product.args[side], arranged(product, side)
        if order is not None and (node, order) not in self._arranged:
            text = f"{self.fed(node, product)}.permute({', '.join(map(str, order))}).contiguous()"
            self._arranged[node, order] = name = self.fresh("v")
            self.out(f"{name} = {text}")

    def widened(self, node: Node, reader: Node) -> str:
        """A node as the operand of an op of which a result of weights is kept wide."""
        name = self.name(node)
        return f"{name}.to(wide)" if is_of_weights(reader) and node not in self.wide else name

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
        return self.alias.get(node) or (node.args[0] if _is_view(node) else None)

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

    def allocate(self, node: Node, prefix: str = "v", *, narrow: bool = False) -> str:
        """An uninitialised tensor for a node; `narrow` has the program's type in any case."""
        name = self.names[node] = self.fresh(prefix)
        self._allocated.add(name)
        if self.keeps_wide(node) and not narrow:
            self.wide.add(node)
        self.out(f"{name} = {self.empty(node, 'dtype' if narrow else None)}")
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
        is_made = node.op.name in ("const", "iota") or is_seen_through(node)
        if node not in self.names and is_made:
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


def _is_view(node: Node) -> bool:
    """Whether torch makes a view of it; what it flips it copies."""
    return node.op.name == "stack" or (is_seen_through(node) and node.op.name != "flip")
