"""Train `char_lm.rnn` on English prose that Python itself carries, by truncated backpropagation.

The text is cut into rows that are read side by side, a chunk at a time. The state goes on from
chunk to chunk; `truncate` cuts the gradient. Leaves a loss curve as PNG and prints a sample. What
`--save FILE` left, every 100 updates, `--resume FILE` goes on from, to the same numbers.
"""

import argparse
import math
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

import rnnc

try:
    from matplotlib.figure import Figure
    from tqdm import tqdm
except ImportError:
    raise SystemExit("this takes matplotlib and tqdm: pip install 'rnnc[examples]'") from None

parser = argparse.ArgumentParser(description=__doc__)
for name, default in {"updates": 1200, "hidden": 128, "rows": 32, "chunk": 64}.items():
    parser.add_argument(f"--{name}", type=int, default=default)
parser.add_argument("--plot", type=Path, default=Path("char_lm.png"))
parser.add_argument("--save", type=Path, metavar="FILE")
parser.add_argument("--resume", type=Path, metavar="FILE")
options = parser.parse_args()

text = "".join(topics[name] for name in sorted(topics))
alphabet = sorted(set(text))
tokens = np.array([alphabet.index(sign) for sign in text])
training, held_out = np.split(tokens, [len(tokens) * 9 // 10])
rows = options.rows
stream = training[: len(training) // rows * rows].reshape(rows, -1).T  # [T, B]

optimiser, losses = rnnc.Adam(4e-3), list[float]()
if options.resume:
    net, beside = rnnc.load_net(options.resume, with_extra=True)
    optimiser.state, losses = beside["adam"], beside["losses"].tolist()
else:
    cells = rnnc.load(Path(__file__).with_name("char_lm.rnn"))
    net = rnnc.Recur(cells.CharLM(len(alphabet), options.hidden), seed=0)


def bits_per_character() -> float:
    reader = rnnc.Recur(net.cell).eval()
    loss, _ = rnnc.cross_entropy(reader.scan(held_out[:-1]), held_out[1:])
    return loss / math.log(2)


print(f"held out before: {bits_per_character():.2f} bits per character")
starts = range(0, len(stream) - options.chunk, options.chunk)
for update in (bar := tqdm(range(len(losses), options.updates), disable=None)):
    begin = starts[update % len(starts)]
    if begin == 0:
        net.reset()
    chunk = stream[begin : begin + options.chunk + 1]
    loss, d_ys = rnnc.cross_entropy(net.scan(chunk[:-1]), chunk[1:])
    gradients = rnnc.clip_by_norm(net.backward(d_ys).params, 1.0)
    net.load_params(optimiser.step(net.params, gradients))
    net.truncate()
    losses.append(loss / math.log(2))
    if options.save and (len(losses) % 100 == 0 or len(losses) == options.updates):
        net.save(options.save, extra={"adam": optimiser.state, "losses": losses})
    bar.set_postfix(bits=f"{np.mean(losses[-50:]):.2f}")
print(f"held out after:  {bits_per_character():.2f} bits per character")

writer, token, draw = rnnc.Recur(net.cell).eval(), alphabet.index("\n"), np.random.default_rng(0)
sample = ""
while len(sample) < 300:
    chances = np.exp(writer(np.array(token)).astype(float))
    token = draw.choice(len(alphabet), p=chances / chances.sum())
    sample += alphabet[token]
print(f"a sample: {sample}")

figure = Figure()
figure.subplots().plot(losses)
figure.axes[0].set(xlabel="update", ylabel="bits per character")
figure.savefig(options.plot)
print(f"loss curve: {options.plot}")
