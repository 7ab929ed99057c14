"""Everything Flux's guide to recurrent models shows, in its order.

https://fluxml.ai/Flux.jl/v0.6/models/recurrence.html
"""

import numpy as np

import rnnc
from command_line import Parser

Parser(__doc__).parse_args()
draw = np.random.default_rng(0)

print("# Recurrent cells: a function from a state and an input to a new state and an output")
Wxh, Whh, b = draw.normal(size=(5, 10)), draw.normal(size=(5, 5)), draw.normal(size=5)


def rnn(h: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h = np.tanh(Wxh @ x + Whh @ h + b)
    return h, h


x, h = draw.random(10), draw.random(5)
h, y = rnn(h, x)
print("by hand:       ", y)

print("\n# A cell from the library takes its place")
rnn2 = rnnc.RNNCell(10, 5)
h, y = rnn2(h, x)
print("RNNCell(10, 5):", y)

print("\n# Stateful models: Recur keeps the state")
m = rnnc.Recur(rnn, draw.random(5))
print("m(x):   ", m(x))
print("m(x):   ", m(x), "(the state went on)")
print("m.state:", m.state)
print("RNN(10, 5) is", rnnc.RNN(10, 5))

print("\n# Sequences: a list of steps, or one array")
seq = [draw.random(10) for _ in range(10)]
ys = [m(x) for x in seq]
print(len(ys), "outputs of shape", ys[0].shape)

print("\n# Layers chain")
chain = rnnc.Chain(rnnc.LSTM(10, 15), rnnc.Dense(15, 5))
ys = [chain(x) for x in seq]
chain.reset()
print("step by step equals scan:", np.allclose(ys, chain.scan(np.array(seq)), atol=1e-6))

print("\n# Truncating gradients: by default they reach back over the whole history")
chain.reset()
ys = [chain(x) for x in draw.random((100, 10))]
grads = chain.backward(np.ones((100, 5)))
print("100 calls, then gradients:    ", grads.steps, "steps back")
ys = [chain(x) for x in draw.random((10, 10))]
grads = chain.backward(np.ones((110, 5)))
print("10 more calls, then gradients:", grads.steps, "steps back")

chain.truncate()
ys = [chain(x) for x in draw.random((10, 10))]
grads = chain.backward(np.ones((10, 5)))
print("truncate, 10 calls, gradients:", grads.steps, "steps back")

chain.reset()
print("after reset the state is zero:", all((s == 0).all() for s in chain.state.values()))
