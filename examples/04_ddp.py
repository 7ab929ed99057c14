"""Train a compiled cell on several processes at once, with PyTorch's own data parallelism.

    torchrun --nproc-per-node 2 examples/04_ddp.py

Each process reads its own part of every batch; gradients are averaged, so that all of them keep
equal parameters: those of one process that reads the whole batch. The task is to add up the two
marked numbers of a sequence. Without torchrun it trains in one process.
"""

import os

import rnnc
from command_line import Parser

try:
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel
except ImportError:
    raise SystemExit("this takes PyTorch: pip install 'rnnc[torch]'") from None
import rnnc.torch

ranks, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
parser = Parser(__doc__)
parser.add("--updates", 300, "of the parameters")
parser.add("--hidden", 32, "units")
parser.add("--batch", 64, "sequences to an update, of all processes together", least=ranks)
parser.add("--steps", 20, "of a sequence", least=2)
options = parser.parse_args()
if ranks > 1:
    dist.init_process_group("gloo")
torch.set_num_threads(1)
draws = torch.Generator().manual_seed(0)  # every process draws the whole batch, and reads its part


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers with marks [T, B, 2], and the sums of the two that are marked [B, 1]."""
    numbers = torch.rand(options.steps, options.batch, generator=draws)
    first = torch.randint(0, options.steps // 2, (options.batch,), generator=draws)
    second = torch.randint(options.steps // 2, options.steps, (options.batch,), generator=draws)
    rows = torch.arange(options.batch)
    marks = torch.zeros_like(numbers)
    marks[first, rows] = marks[second, rows] = 1
    sums = numbers[first, rows] + numbers[second, rows]
    return torch.stack([numbers, marks], -1), sums[:, None]


net: torch.nn.Module = rnnc.torch.Recur(
    rnnc.Chain(rnnc.GRUCell(2, options.hidden), rnnc.Dense(options.hidden, 1)), seed=0
)
if ranks > 1:
    net = DistributedDataParallel(net)
optimiser = torch.optim.Adam(net.parameters(), 1e-2)
for update in range(options.updates):
    xs, sums = batch()
    mine = slice(rank, None, ranks)
    ys, _ = net(xs[:, mine])
    loss = (ys[-1] - sums[mine]).square().mean()
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    if rank == 0 and (update + 1) % 50 == 0:
        print(f"update {update + 1}: error {loss.item():.4f}", flush=True)
checksum = sum(float(p.detach().double().sum()) for p in net.parameters())
print(f"process {rank} of {ranks}: parameters add up to {checksum:.6f}", flush=True)
if ranks > 1:
    dist.barrier()  # who leaves first would break the others off
    dist.destroy_process_group()
    # DDP keeps gloo's threads; one that frees its last work while Python ends aborts the process.
    os._exit(0)  # https://github.com/pytorch/pytorch/pull/179291
