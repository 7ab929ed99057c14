"""One of several processes: the gradients of its part of a batch, averaged, beside those of all."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import rnnc
import rnnc.torch

STEPS, ROWS = 5, 4


def main() -> None:
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    cells = rnnc.Chain(rnnc.LSTMCell(3, 4), rnnc.Dense(4, 2), dtype="float64")
    net = rnnc.torch.Recur(cells)
    draws = torch.Generator().manual_seed(0)
    xs = torch.randn(STEPS, ROWS, 3, generator=draws, dtype=torch.float64)
    starts = torch.rand(STEPS, ROWS, generator=draws) < 0.3
    ys, _ = net(xs, starts=starts)
    wanted = torch.autograd.grad(ys.square().mean(), list(net.parameters()))
    parallel = DistributedDataParallel(net)
    mine = slice(rank, None, ranks)
    ys, _ = parallel(xs[:, mine], starts=starts[:, mine])
    torch.autograd.backward(ys.square().mean())
    grads = [p.grad for p in net.parameters()]
    assert all(d is not None for d in grads)
    off = max(
        float((found - d).abs().max())
        for found, d in zip(grads, wanted, strict=True)
        if found is not None
    )
    assert off < 1e-14, off
    print(f"{rank} of {ranks}: {off:.0e}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
    sys.exit()
