"""Laws, folded constants, dead code: the same results from fewer nodes.

In: any scan. Out: a scan with equal results. Common subexpressions need no pass (nodes are shared
by construction) and dead nodes none either (a scan is what its roots reach).
"""

from __future__ import annotations

from ..ir import Scan
from ..rewrite import simplified


def simplify(scan: Scan) -> Scan:
    """Apply every op's laws, operands first, until none fires.

    Args:
        scan: verified.
    Returns:
        A scan with equal results, also at NaN, inf and -0: only such identities are laws.
    Cost: linear in the number of nodes.
    """
    return scan.rebuilt(simplified(scan.roots()))
