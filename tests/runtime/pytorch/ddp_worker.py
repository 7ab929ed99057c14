"""One of several processes: the gradients of its part of a batch, averaged, beside those of all.

`ddp_worker.py copied` has DDP, every parameter in every process; `ddp_worker.py sharded` FSDP.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import rnnc
import rnnc.torch

STEPS, ROWS = 5, 4


def main() -> None:
    dist.init_process_group("gloo")
    cells = rnnc.Chain(rnnc.LSTMCell(3, 4), rnnc.Dense(4, 2), dtype="float64")
    draws = torch.Generator().manual_seed(0)
    xs = torch.randn(STEPS, ROWS, 3, generator=draws, dtype=torch.float64)
    parameters = sys.argv[1]
    off = {"copied": copied, "sharded": sharded}[parameters](cells, xs)
    assert off < 1e-14, off
    print(f"{dist.get_rank()} of {dist.get_world_size()}, {parameters}: {off:.0e}", flush=True)
    dist.barrier()  # who leaves first would break the others off
    dist.destroy_process_group()


def copied(cells: Any, xs: torch.Tensor) -> float:
    """DDP: each process keeps every parameter, and takes its part of the batch."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    net = rnnc.torch.Recur(cells)
    draws = torch.Generator().manual_seed(1)
    starts = torch.rand(STEPS, ROWS, generator=draws) < 0.3
    ys, _ = net(xs, starts=starts)
    wanted = torch.autograd.grad(ys.square().mean(), list(net.parameters()))
    parallel = DistributedDataParallel(net)
    mine = slice(rank, None, ranks)
    ys, _ = parallel(xs[:, mine], starts=starts[:, mine])
    torch.autograd.backward(ys.square().mean())
    grads = [p.grad for p in net.parameters()]
    assert all(d is not None for d in grads)
    return max(
        float((found - d).abs().max())
        for found, d in zip(grads, wanted, strict=True)
        if found is not None
    )


def sharded(cells: Any, xs: torch.Tensor) -> float:
    """FSDP: each process keeps its part of every parameter."""
    net = rnnc.torch.Recur(cells)
    ys, _ = net(xs)
    wanted = torch.autograd.grad(ys.square().mean(), list(net.parameters()))
    ranks = dist.get_world_size()
    fully_shard(net, mesh=init_device_mesh("cpu", (ranks,)))
    for _ in range(2):  # what the first step did to the parameters' memory shows in the second
        net.zero_grad()
        ys, _ = net(xs)
        torch.autograd.backward(ys.square().mean())
    grads: list[Any] = [p.grad for p in net.parameters()]
    return max(
        float((found.full_tensor() - d).abs().max()) for found, d in zip(grads, wanted, strict=True)
    )


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads outlive their group: see examples/04_ddp.py
