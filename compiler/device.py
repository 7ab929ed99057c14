"""The numbers of a GPU that the cost model reads, and nothing else.

Of an H200, and where the two are alike of an H100. Which of them were measured, and who measured
others, is in `benchmarks/README.md`; `latency`, `ramp`, `product`, `step` and `exact_products` are
fitted to the mappings that were timed. `benchmarks/gpu_mappings.py` holds the model against the
clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """Rates a second, bytes, and seconds."""

    processors: int = 132
    clock: float = 1.75e9  # Hz, under load
    lanes: int = 128  # of a processor: elementwise results a cycle
    special: int = 16  # of a processor: exp, log, sin, ... results a cycle
    multiplies: float = 2680.0  # of a processor: floating point operations a cycle, 16-bit products
    exact_multiplies: float = 256.0  # the same in float32 and float64 without the matrix unit
    exact_products: float = 46.0  # of those, by a kernel whose threads read from shared memory
    port: float = 64.0  # bytes a cycle between a processor and the caches
    sector: int = 32  # bytes, the least that memory hands over
    bandwidth: float = 4.3e12  # bytes a second to memory
    cache_bandwidth: float = 5.5e12  # bytes a second from the second-level cache
    latency: float = 0.7e-6  # seconds until a load from memory is there, others under way
    cache_latency: float = 0.25e-6
    shared_bandwidth: float = 128.0  # bytes a cycle between a processor and its shared memory
    barrier: float = 30.0  # cycles for a program's threads to wait for each other
    product: float = 100.0  # cycles until the first results of a product on chip are there
    step: float = 40.0  # cycles that a turn of a loop takes beside its work
    resident: int = 16  # warps of a processor that have registers enough at a time
    node: float = 0.8e-6  # from one kernel of a graph to the next
    ramp: float = 1.4e-6  # until a kernel runs at its rate
    library: float = 6e-6  # the least a product of the library takes
    host: float = 20e-6  # that the host takes to put a launch into a graph
    shared: int = 227 * 1024  # bytes of one program's shared memory
    registers: int = 65536  # of all threads of a program, four bytes each
    most_registers: int = 255  # of a thread


H200 = Device()
