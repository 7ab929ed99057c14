"""Train `char_lm.rnn` on English prose that Python itself carries, by truncated backpropagation.

The text is cut into rows that are read side by side, a chunk at a time: `Streams`. The state goes
on from chunk to chunk; `truncate` cuts the gradient. Leaves a loss curve as PNG and prints a
sample. What `--save FILE` left, every 100 updates, `--resume FILE` goes on from, to the same
numbers.
"""

import math
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

import rnnc
from command_line import Parser, writable
from progress import progress, say

try:
    from matplotlib.figure import Figure
except ImportError:
    raise SystemExit("this takes matplotlib: pip install 'rnnc[examples]'") from None

parser = Parser(__doc__)
parser.add("--updates", 1200, "of the parameters, those of a resumed net included")
parser.add("--hidden", 128, "units of a new net")
parser.add("--rows", 32, "of text, read side by side", most=10_000)
parser.add("--chunk", 64, "characters of a row to an update")
parser.add_plot("char_lm.png")
parser.add_argument("--save", type=writable, metavar="FILE", help="where the net goes")
parser.add_argument("--resume", type=Path, metavar="FILE", help="what --save left")
options = parser.parse_args()

text = "".join(topics[name] for name in sorted(topics))
alphabet = sorted(set(text))
tokens = np.array([alphabet.index(sign) for sign in text])
training, held_out = np.split(tokens, [len(tokens) * 9 // 10])
streams = rnnc.Streams(training, rows=options.rows, steps=options.chunk)
optimiser, losses = rnnc.Adam(4e-3), list[float]()
try:
    if options.resume:
        net, beside = rnnc.load_net(options.resume, with_extra=True)
        optimiser.state, losses = beside["adam"], beside["losses"].tolist()
        streams.position = beside["position"]
    else:
        cells = rnnc.load(Path(__file__).with_name("char_lm.rnn"))
        net = rnnc.Recur(cells.CharLM(len(alphabet), options.hidden), seed=0)
except rnnc.Error as error:
    parser.error(str(error).splitlines()[0])
except (KeyError, TypeError):
    parser.error(f"--resume: {options.resume} is no net that --save left")


def bits_per_character() -> float:
    reader = rnnc.Recur(net.cell).eval()
    loss, _ = rnnc.cross_entropy(reader.scan(held_out[:-1]), held_out[1:])
    return loss / math.log(2)


count = sum(array.size for array in net.params.values())
say(f"{count:,} parameters learn from {len(training):,} characters, in {options.updates} updates")
say(f"held out before: {bits_per_character():.2f} bits per character")
updates = range(len(losses), options.updates)
for _ in progress("update", updates, losses, "bits per character"):
    chunk = next(streams)
    ys = net.scan(chunk.xs, starts=chunk.starts, lengths=chunk.lengths)
    loss, d_ys = rnnc.cross_entropy(ys, chunk.targets, chunk.mask)
    gradients = rnnc.clip_by_norm(net.backward(d_ys).params, 1.0)
    net.load_params(optimiser.step(net.params, gradients))
    net.truncate()
    losses.append(loss / math.log(2))
    if options.save and (len(losses) % 100 == 0 or len(losses) == options.updates):
        beside = {"adam": optimiser.state, "losses": losses, "position": streams.position}
        net.save(options.save, extra=beside)
say(f"held out after:  {bits_per_character():.2f} bits per character")

writer, token, draw = rnnc.Recur(net.cell).eval(), alphabet.index("\n"), np.random.default_rng(0)
sample = ""
while len(sample) < 300:
    chances = np.exp(writer(np.array(token)).astype(float))
    token = draw.choice(len(alphabet), p=chances / chances.sum())
    sample += alphabet[token]
say(f"a sample: {sample}")

figure = Figure()
figure.subplots().plot(losses)
figure.axes[0].set(xlabel="update", ylabel="bits per character")
figure.savefig(options.plot)
say(f"loss curve: {options.plot}")
