"""Train a cell of one's own in PyTorch, beside `torch.nn.LSTM`: handwritten digits, row by row.

Each digit of scikit-learn's set is 8 rows of 8 pixels, read one after the other; the last state
says which digit it was. Both nets have the same optimiser, clipping and number of units. Prints
accuracy on digits that were held out, and time; leaves the learning curves as PNG.
"""

import time
from pathlib import Path

import rnnc
from command_line import Parser
from progress import progress, say

try:
    import torch
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
except ImportError:
    raise SystemExit("this takes more: pip install 'rnnc[torch,examples]' scikit-learn") from None
import rnnc.torch

parser = Parser(__doc__)
parser.add("--epochs", 30, "passes over all digits")
parser.add("--hidden", 48, "units")
parser.add("--batch", 64, "digits to an update")
parser.add_plot("digits.png")
options = parser.parse_args()

digits = load_digits()
xs = torch.tensor(digits.images / 16, dtype=torch.float32).movedim(1, 0)  # [time, digits, pixels]
classes = torch.tensor(digits.target)
order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
held_out, training = order[:400], order[400:]


class Reader(torch.nn.Module):
    """A recurrent net, and a layer that reads its last output."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net, self.scores = net, torch.nn.Linear(options.hidden, 10)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        ys, _ = self.net(rows)
        scores: torch.Tensor = self.scores(ys[-1])
        return scores


cells = rnnc.load(Path(__file__).with_name("digits.rnn"))
torch.manual_seed(0)
nets = {
    "Glance": Reader(rnnc.torch.Recur(cells.Glance(8, options.hidden))),
    "nn.LSTM": Reader(torch.nn.LSTM(8, options.hidden)),
}
axes = (figure := Figure(figsize=(6, 4))).add_subplot(xlabel="epoch", ylabel="loss")
for name, net in nets.items():
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    begun, losses = time.perf_counter(), list[float]()
    for _ in progress(f"{name}, epoch", range(options.epochs), losses, "nats a digit"):
        total = 0.0
        for batch in torch.split(training[torch.randperm(len(training))], options.batch):
            loss = torch.nn.functional.cross_entropy(net(xs[:, batch]), classes[batch])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            total += loss.item() * len(batch)
        losses.append(total / len(training))
    spent = time.perf_counter() - begun
    with torch.no_grad():
        right = (net(xs[:, held_out]).argmax(1) == classes[held_out]).float().mean()
    count = sum(p.numel() for p in net.net.parameters())
    say(f"{name}: {right:.1%} of 400 digits right, {spent:.1f} s, {count:,} parameters")
    axes.plot(losses, label=name)
axes.set_yscale("log")
axes.legend()
figure.savefig(options.plot, dpi=120, bbox_inches="tight")
