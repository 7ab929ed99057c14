"""What is read off a compiled kernel: spilled bytes, and the longest loop of its instructions."""

from __future__ import annotations

import pytest

from rnnc.runtime import binary
from rnnc.runtime.binary import Loop, spilled, time_loop

LISTING = """
		Function : loop
	.headerflags	@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;            /* 0x00000a00ff017b82 */
                                                                     /* 0x000e220000000800 */
        /*0010*/                   LDG.E R4, desc[UR16][R2.64] ;     /* 0x0000a00000087ab9 */
        /*0020*/              @!P0 LDGSTS.E.128 [R7], [R2.64] ;      /* 0x0000a00000087ab9 */
        /*0030*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;     /* 0x0000000000007b1d */
        /*0040*/                   LDSM.16.M88.4 R8, [R7] ;          /* 0x000000000708783b */
        /*0050*/                   HMMA.16816.F32.BF16 R8, R4, R8, RZ ; /* 0x0000000804087239 */
        /*0060*/                   MUFU.EX2 R9, R9 ;                 /* 0x0000000900097308 */
        /*0070*/                   STL [R1+0x8], R9 ;                /* 0x0000080901007387 */
        /*0080*/                   STS [R7], R9 ;                    /* 0x0000000907007388 */
        /*0090*/               @P1 BRA 0x90 ;                        /* 0x0000000000b41947 */
        /*00a0*/                   STG.E desc[UR16][R2.64], R9 ;     /* 0x0000000902007986 */
        /*00b0*/              @!P2 BRA 0x10 ;                        /* 0x0000000000b41947 */
        /*00c0*/                   EXIT ;                            /* 0x000000000000794d */
        /*00d0*/                   BRA 0xd0 ;                        /* 0xfffffffc00fc7947 */
"""


def listed(monkeypatch: pytest.MonkeyPatch, listing: str) -> None:
    monkeypatch.setattr(binary, "_cuobjdump", lambda option, cubin: listing)


def test_the_instructions_of_the_longest_loop_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, LISTING)
    assert time_loop(b"") == Loop(
        instructions=11, barriers=1, products=1, shared_loads=1, shared_stores=1, global_loads=2,
        global_stores=1, special=1, local=1,
    )  # fmt: skip


def test_a_kernel_without_a_loop_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, LISTING.replace("BRA 0x10 ", "BRA 0xd0 "))
    assert time_loop(b"") is None


def test_registers_and_local_memory_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = (
        "\nResource usage:\n Common:\n  GLOBAL:0\n Function loop:\n  REG:108 STACK:32 SHARED:0\n"
    )
    listed(monkeypatch, usage)
    assert binary.resources(b"") == (108, 32)


@pytest.mark.parametrize(
    ("stack", "array", "wanted"),
    [(0, None, 0), (40, None, 40), (32, 28, 0), (48, 28, 16), (0, 28, 0)],
)
def test_what_is_no_array_of_the_program_is_spilled(
    stack: int, array: int | None, wanted: int
) -> None:
    """An array that the assembler could do without takes no memory."""
    declared = f"\t.local .align 4 .b8 \t__local_depot0[{array}];\n" if array else ""
    assert spilled(stack, f".entry loop()\n{{\n{declared}\t.reg .b64 \t%SP;\n}}") == wanted
