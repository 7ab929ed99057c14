"""The character model of `examples/char_lm.rnn` against the same model in torch.nn.

`python -m benchmarks.char_lm` (`--help` lists the options). Both begin with the same parameters,
read the same chunks of the same text, carry the state from chunk to chunk without its history and
take the same steps of Adam. One update is timed in turns; then each is trained by itself.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnc
from benchmarks.harness import (
    Comparison,
    Contender,
    add_options,
    compare,
    milliseconds,
    print_machine,
    protocol_of,
    start,
    table,
    write_json,
)

CELL = Path(__file__).parent.parent / "examples" / "char_lm.rnn"
HIDDEN, ROWS, CHUNK, UPDATES = 128, 32, 64, 1200
RATE, LARGEST_NORM = 4e-3, 1.0
TOLERANCE = 1e-3  # of loss and gradients, float32 on both sides

Array = NDArray[Any]
Chunk = tuple[Array, Array]  # characters and those that follow them, int[T, B]


@dataclass(frozen=True)
class Text:
    """English prose that comes with Python, as numbers."""

    alphabet: str
    training: Array
    held_out: Array


def read_text() -> Text:
    """Cut as in `examples/02_char_lm.py`: the last tenth is held out."""
    text = "".join(topics[name] for name in sorted(topics))
    alphabet = "".join(sorted(set(text)))
    numbers = np.searchsorted(np.array(list(alphabet)), np.array(list(text)))
    training, held_out = np.split(numbers, [len(numbers) * 9 // 10])
    return Text(alphabet, training, held_out)


def chunks(numbers: Array) -> Iterator[Chunk]:
    """Rows that each read their own part of the text from its start to its end, chunk by chunk."""
    stream = numbers[: len(numbers) // ROWS * ROWS].reshape(ROWS, -1).T
    for begin in range(0, len(stream) - CHUNK, CHUNK):
        chunk = stream[begin : begin + CHUNK + 1]
        yield chunk[:-1], chunk[1:]


class Compiled:
    """The model as rnnc runs it."""

    def __init__(self, vocab: int) -> None:
        self.net = rnnc.Recur(rnnc.load(CELL).CharLM(vocab, HIDDEN), backend="numpy", seed=0)
        self.adam = rnnc.Adam(RATE)

    def reset(self) -> None:
        self.net.reset()

    def update(self, inputs: Array, targets: Array) -> dict[str, Any]:
        ys = self.net.scan(inputs)
        loss, d_ys = rnnc.cross_entropy(ys, targets)
        d_params = self.net.backward(d_ys).params
        clipped = rnnc.clip_by_norm(d_params, LARGEST_NORM)
        self.net.load_params(self.adam.step(self.net.params, clipped))
        self.net.truncate()
        return {"loss": loss, **clipped}

    def loss(self, inputs: Array, targets: Array) -> float:
        """Nats per character over one text, from the zero state."""
        reader = rnnc.Recur(self.net.cell, backend="numpy").eval()
        reader.load_params(self.net.params)
        return rnnc.cross_entropy(reader.scan(inputs[:, None]), targets[:, None])[0]


class InTorch:
    """The model as torch.nn runs it, with the compiled one's parameters to begin with."""

    def __init__(self, params: Mapping[str, Array], vocab: int) -> None:
        import torch

        self.torch: Any = torch
        self.embedding = torch.nn.Embedding(vocab, HIDDEN)
        self.lstm = torch.nn.LSTM(HIDDEN, HIDDEN)
        self.dense = torch.nn.Linear(HIDDEN, vocab)
        # One bias as in the cell: of torch's two, the second stays zero.
        torch.nn.init.zeros_(self.lstm.get_parameter("bias_hh_l0").requires_grad_(False))
        self.by_name = self._by_name(params)
        with torch.no_grad():
            for name, own in self.by_name.items():
                own.copy_(torch.from_numpy(np.array(params[name])).reshape(own.shape))
        self.adam = torch.optim.Adam(list(self.by_name.values()), lr=RATE)
        self.reset()

    def _by_name(self, params: Mapping[str, Array]) -> dict[str, Any]:
        """Our parameters' names, which begin with the member of the chain, to torch's."""
        members = list(dict.fromkeys(name.rsplit(".", 1)[0] for name in params))
        embedding, lstm, dense = members
        return {
            f"{embedding}.E": self.embedding.weight,
            f"{lstm}.W": self.lstm.weight_ih_l0,
            f"{lstm}.U": self.lstm.weight_hh_l0,
            f"{lstm}.b": self.lstm.bias_ih_l0,
            f"{dense}.W": self.dense.weight,
            f"{dense}.b": self.dense.bias,
        }

    def reset(self) -> None:
        self.state: Any = None

    def _forward(self, inputs: Array, targets: Array, state: Any) -> Any:
        """The loss and the state after it."""
        ys, state = self.lstm(self.embedding(self.torch.from_numpy(inputs.copy())), state)
        wanted = self.torch.from_numpy(targets.copy()).flatten()
        scores = self.dense(ys).flatten(0, 1)
        return self.torch.nn.functional.cross_entropy(scores, wanted), state

    def update(self, inputs: Array, targets: Array) -> dict[str, Any]:
        self.adam.zero_grad()
        loss, state = self._forward(inputs, targets, self.state)
        loss.backward()
        self.state = tuple(part.detach() for part in state)
        self.torch.nn.utils.clip_grad_norm_(list(self.by_name.values()), LARGEST_NORM)
        self.adam.step()
        grads = {
            name: own.grad.numpy().reshape(self._shape(own)) for name, own in self.by_name.items()
        }
        return {"loss": loss.item(), **grads}

    def _shape(self, own: Any) -> tuple[int, ...]:
        """Ours has an axis for the gates where torch's has them one after the other."""
        gates = own.shape[0] == 4 * HIDDEN
        return (4, HIDDEN, *own.shape[1:]) if gates else tuple(own.shape)

    def loss(self, inputs: Array, targets: Array) -> float:
        """Nats per character over one text, from the zero state."""
        with self.torch.no_grad():
            return float(self._forward(inputs[:, None], targets[:, None], None)[0])


Model = Compiled | InTorch


def next_update(model: Model, text: Text) -> Callable[[], object]:
    """One update on the next chunk at each call, again from the start after the last chunk."""
    stream: Iterator[Chunk] = iter(())

    def run() -> object:
        nonlocal stream
        chunk = next(stream, None)
        if chunk is None:
            model.reset()
            stream = chunks(text.training)
            chunk = next(stream)
        return model.update(*chunk)

    return run


def bits_per_character(model: Model, text: Text) -> float:
    """On the held-out text, read as one row."""
    return model.loss(text.held_out[:-1], text.held_out[1:]) / math.log(2)


def train(model: Model, text: Text, updates: int) -> dict[str, float]:
    """Train from where the model stands; seconds are those of the updates alone."""
    before = bits_per_character(model, text)
    run = next_update(model, text)
    begin = time.perf_counter()
    for _ in range(updates):
        run()
    seconds = time.perf_counter() - begin
    after = bits_per_character(model, text)
    return {"updates": updates, "seconds": seconds, "bits before": before, "bits after": after}


def models(text: Text) -> dict[str, Model]:
    vocab = len(text.alphabet)
    compiled = Compiled(vocab)
    return {"torch.nn": InTorch(compiled.net.params, vocab), "rnnc": compiled}


def measure(text: Text, options: argparse.Namespace) -> Comparison:
    """One update, in turns; the first one's loss and gradients must agree."""
    contenders = [Contender(name, next_update(model, text)) for name, model in models(text).items()]
    return compare(
        "one update of the character model",
        contenders,
        tolerance=TOLERANCE,
        protocol=protocol_of(options),
        facts={"hidden": HIDDEN, "rows": ROWS, "chunk": CHUNK, "vocab": len(text.alphabet)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.char_lm", description=__doc__)
    add_options(parser)
    parser.add_argument("--updates", type=int, help=f"of the training (default {UPDATES})")
    options = start(parser)
    updates = options.updates or (100 if options.quick else UPDATES)
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)

    print_machine()
    text = read_text()
    comparison = measure(text, options)
    rows = [
        [timing.name, milliseconds(timing.spread), f"{timing.ratio.median:.2f}"]
        for timing in comparison.timings
    ]
    print(table(["one update", "ms: median (quartiles)", "times torch's speed"], rows))

    trained = {name: train(model, text, updates) for name, model in models(text).items()}
    rows = [
        [name, *(f"{found[key]:.3g}" for key in ("seconds", "bits before", "bits after"))]
        for name, found in trained.items()
    ]
    print()
    print(table([f"{updates} updates", "seconds", "held-out bits before", "after"], rows))
    if options.json:
        write_json(options.json, [comparison], protocol_of(options), training=trained)


if __name__ == "__main__":
    main()
