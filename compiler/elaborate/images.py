"""Convolution of images, written as one product.

In: operands. Out: nodes.
"""

from __future__ import annotations

from itertools import product as pairs

from ...grammar.problems_of_values import BadSize, RankMismatch, ShapeMismatch
from ..dims import times
from .arrange import reshaped
from .products import product
from .tensors import Site, tensor
from .values import Operand, Value, describe, sizes_note


def conv2d(site: Site, kernel: Operand, image: Operand) -> Value:
    """[C, D, a, b], [D, h, w] -> [C, h, w]: every output place sums the a x b places around it.

    Cross-correlation, as in PyTorch: the kernel is not turned. Beyond its edges an image is 0.

    Before  conv2d(K, X)
    After   K as [C, a * b * D] @ the a * b shifted images as [a * b * D, h * w]

    Raises:
        RankMismatch, ShapeMismatch: the operands do not fit.
        BadSize: a kernel has no middle.
    Cost: the image a * b times in memory; several kernels of one image become one product.
    """
    K, X = tensor(site, kernel), tensor(site, image)
    for operand, node, rank, axes in (
        (kernel, K, 4, "a kernel [out, in, height, width]"),
        (image, X, 3, "an image [in, height, width]"),
    ):  # fmt: skip
        if node.type.rank != rank:
            raise RankMismatch(
                f"'{site.name}' needs {axes}", operand.span, f"this is {describe(node)}"
            )
    made, channels, tall, wide = K.type.shape
    if channels != X.type.shape[0]:
        raise ShapeMismatch(
            f"'{site.name}' needs a kernel with as many inputs as the image has channels",
            kernel.span,
            f"this is {describe(K)}",
            related=[(image.span, f"this is {describe(X)}")],
            notes=sizes_note(K.type.shape, X.type.shape),
        )
    if not (tall % 2 and wide % 2):
        raise BadSize(
            f"'{site.name}' needs a kernel of odd sizes, which has a middle",
            kernel.span,
            f"this is {describe(K)}",
            notes=sizes_note(K.type.shape),
        )
    _, height, width = X.type.shape
    edges = ((0, 0), (tall // 2, tall // 2), (wide // 2, wide // 2))
    larger = site.apply("pad", X, attr=edges) if (tall, wide) != (1, 1) else X
    shifted = [
        site.apply(
            "slice",
            larger,
            attr=((0, int(channels)), (down, down + int(height)), (right, right + int(width))),
        )
        for down, right in pairs(range(tall), range(wide))
    ]
    places = site.apply("concat", *shifted, attr=0) if len(shifted) > 1 else larger
    terms, pixels = times(tall, wide, channels), times(height, width)
    weights = site.apply("transpose", K, attr=(0, 2, 3, 1))
    found = product(
        site,
        reshaped(site, weights, (made, terms)),
        reshaped(site, places, (terms, pixels)),
        "ab,bc->ac",
    )
    return reshaped(site, found, (made, height, width))
