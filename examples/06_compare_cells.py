"""Cells side by side on two tasks of long memory: a table, and their learning curves as PNG.

The adding problem (Hochreiter & Schmidhuber 1997): two numbers of a sequence are marked, and the
last output is their sum; always saying 1 has an error of 1/6. Copy memory (Arjovsky et al. 2016,
arXiv:1511.06464): some signs, then blanks, then the signs are to be said again; to guess them costs
log(8) nats each. `--cells` takes any of `rnnc cells` with the sizes (inputs, hidden).
"""

import math
import time
from typing import Any

import numpy as np

import rnnc
from command_line import Parser
from progress import progress, say

try:
    from matplotlib.figure import Figure
except ImportError:
    raise SystemExit("this takes matplotlib: pip install 'rnnc[examples]'") from None

CELLS = ["RNN", "LSTM", "GRU", "IndRNN", "LEM", "MinGRU"]
SIGNS, SHOWN = 8, 5  # how many there are, and how many of them a sequence begins with
BLANK, GO = SIGNS, SIGNS + 1
parser = Parser(__doc__)
parser.add_argument("--cells", nargs="+", default=CELLS, metavar="CELL",
                    help=f"by their names (default: {' '.join(CELLS)})")  # fmt: skip
parser.add("--steps", 600, "updates of the parameters")
parser.add("--length", 20, "steps of a sequence, and blanks of one that is copied", least=2)
parser.add("--hidden", 32, "units of each cell")
parser.add("--batch", 32, "sequences to an update")
parser.add("--seed", 0, "of parameters and data", least=0)
parser.add("--rate", 1e-2, "of Adam")
parser.add_plot("compare_cells.png")
options = parser.parse_args()


def adding(draw: np.random.Generator, net: rnnc.Recur) -> tuple[float, Any]:
    """The loss of a net on a batch, and its cotangent."""
    shape = options.length, options.batch
    order = draw.permuted(np.tile(np.arange(options.length)[:, None], options.batch), axis=0)
    numbers, marks = draw.uniform(size=shape), order < 2
    ys = net.scan(np.stack([numbers, marks], axis=-1))
    sums = np.broadcast_to((numbers * marks).sum(0)[:, None], ys.shape)
    return rnnc.squared_error(ys, sums, np.arange(options.length) == options.length - 1)


def copying(draw: np.random.Generator, net: rnnc.Recur) -> tuple[float, Any]:
    """The loss of a net on a batch, and its cotangent."""
    signs = draw.integers(SIGNS, size=(SHOWN, options.batch))
    blanks = np.full((options.length + SHOWN, options.batch), BLANK)
    tokens, targets = np.concatenate([signs, blanks]), np.concatenate([blanks, signs])
    tokens[options.length + SHOWN - 1] = GO
    return rnnc.cross_entropy(net.scan(np.eye(GO + 1)[tokens]), targets)


length = options.length + 2 * SHOWN
TASKS = {  # inputs, outputs, what the loss is, and what is reached without any memory
    "adding problem": (adding, 2, 1, "squared error", 1 / 6),
    "copy memory": (copying, GO + 1, BLANK + 1, "nats a step", SHOWN * math.log(SIGNS) / length),
}


def net_of(name: str, inputs: int, outputs: int) -> rnnc.Recur:
    """A net of a cell, if it takes a vector and returns one."""
    try:
        cell = rnnc.cells[name](inputs, options.hidden)
        net = rnnc.Chain(cell, rnnc.cells.Dense(options.hidden, outputs), seed=options.seed)
        net(np.zeros(inputs, "float32"))
    except rnnc.Error as error:
        parser.error(f"--cells {name}: {str(error).splitlines()[0]}")
    return net


for each in TASKS.values():
    for name in options.cells:
        net_of(name, *each[1:3])  # what does not fit is said before anything is trained
figure = Figure(figsize=(11, 4.2), layout="constrained")
for (task, (batch, inputs, outputs, unit, baseline)), axes in zip(
    TASKS.items(), figure.subplots(1, 2), strict=True
):
    say(f"{task}, {options.length} steps: {unit}; {baseline:.4f} without memory")
    for name in options.cells:
        net, draw = net_of(name, inputs, outputs), np.random.default_rng(options.seed)
        optimiser, losses, begun = rnnc.Adam(options.rate), list[float](), time.perf_counter()
        for _ in progress(f"  {name}, update", range(options.steps), losses, unit):
            net.reset()
            loss, d_ys = batch(draw, net)
            gradients = rnnc.clip_by_norm(net.backward(d_ys).params, 1.0)
            net.load_params(optimiser.step(net.params, gradients))
            losses.append(loss)
        last, spent = np.mean(losses[-20:]), time.perf_counter() - begun
        count = sum(array.size for array in net.params.values())
        say(f"  {name}: {last:.4f} in the end, {count:,} parameters, {spent:.1f} s")
        window = min(20, options.steps)
        smooth = np.convolve(losses, np.ones(window) / window, "valid")
        axes.semilogy(np.arange(window, options.steps + 1), smooth, label=name)
    axes.axhline(baseline, color="grey", linestyle="--", label="without memory")
    axes.set(title=f"{task}, {options.length} steps", xlabel="update", ylabel=f"{unit}, mean of 20")
figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
figure.savefig(options.plot, dpi=120)
say(f"learning curves: {options.plot}")
