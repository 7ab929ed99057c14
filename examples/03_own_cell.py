"""A cell of one's own, in `own_cell.rnn`: units that leak at rates they learn.

It learns to predict the next sample of a recorded EEG (four channels, matplotlib's sample data).
"""

from pathlib import Path

import numpy as np

import rnnc
from command_line import Parser

try:
    import matplotlib
except ImportError:
    raise SystemExit("this takes matplotlib: pip install 'rnnc[examples]'") from None

Parser(__doc__).parse_args()
eeg = np.fromfile(Path(matplotlib.get_data_path(), "sample_data", "eeg.dat")).reshape(-1, 4)
eeg = (eeg - eeg.mean(0)) / eeg.std(0)  # [800 steps, 4 channels]

cells = rnnc.load(Path(__file__).with_name("own_cell.rnn"))
net = rnnc.Recur(cells.Predictor(4, 32), seed=0)
optimiser = rnnc.Adam(5e-3)
for epoch in range(201):
    net.reset()
    ys = net.scan(eeg[:-1])
    loss, d_ys = rnnc.squared_error(ys, eeg[1:])
    grads = rnnc.clip_by_norm(net.backward(d_ys).params, 1.0)
    net.load_params(optimiser.step(net.params, grads))
    if epoch % 50 == 0:
        print(f"epoch {epoch:3}: error {loss:.3f}")
print(f"'no change' would be {np.mean((eeg[1:] - eeg[:-1]) ** 2):.3f}")
