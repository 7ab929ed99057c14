"""The shortest wrong call for each error that is not a source's: what `docs/errors.md` shows.

In: nothing. Out: Python for errors of the library, command lines for those of `rnnc`, by code.
"""

from __future__ import annotations

from typing import Final

CALLS: Final[dict[str, str]] = {
    "array-dtype": "rnnc.GRU(3, 4)(np.array([1, 2, 3]))",
    "array-shape": "rnnc.GRU(3, 4)(np.ones(5))",
    "bad-call": "rnnc.cells.GRU(3)",
    "bad-checkpoint": """\
Path("weights.pt").write_bytes(b"PK\\3\\4...")
rnnc.load_net("weights.pt")""",
    "bad-modifier": "rnnc.modifiers.clip_state(rnnc.cells.LSTM(3, 4), hh=1.0)",
    "bad-option": "with rnnc.options(verify=7):\n    rnnc.compile(rnnc.GRUCell(3, 4))",
    "bad-setting": 'rnnc.GRU(3, 4, dtype="float31")',
    "chain-mismatch": "rnnc.Chain(rnnc.LSTM(3, 4), rnnc.Dense(5, 2))",
    "checkpoint-file": 'rnnc.load_net("no-such-file.net")',
    "history-full": "net = rnnc.GRU(3, 4)\nnet.history_limit = 1000\nnet.scan(np.ones((100, 3)))",
    "no-gradient": "net = rnnc.Recur(lambda h, x: (h + x, h), 0.0)\nnet(1.0)\nnet.backward([1.0])",
    "no-such-attribute": "rnnc.GRU(3, 4).stat = None",
    "no-such-cell": "rnnc.cells.LSMT(3, 4)",
    "nothing-recorded": "rnnc.GRU(3, 4).backward(np.ones((1, 4)))",
    "out-of-range": "rnnc.Embedding(10, 4)(12)",
    "read-only": 'rnnc.GRU(3, 4).params["W"] = np.zeros((3, 4, 3))',
    "state-mismatch": "net = rnnc.GRU(3, 4)\nnet(np.ones((32, 3)))\nnet(np.ones((16, 3)))",
    "unknown-names": 'rnnc.GRU(3, 4).load_params({"V": np.ones((4, 3))})',
    "unreadable-file": 'rnnc.load("no-such-file.rnn")',
}

COMMANDS: Final[dict[str, str]] = {
    "bad-data": "printf '1 2\\n3\\n' | rnnc run std Dense --set inputs=2 --set outputs=1",
    "cannot-write": "printf '1 2\\n' | rnnc run std Dense --set inputs=2 --set outputs=1 "
    "--output /dev/null/y.csv",
    "open-sizes": "rnnc show std GRU --set inputs=3",
    "unknown-code": "rnnc explain shape-mismach",
    "unknown-setting": "rnnc check std --set hiden=64",
    "usage": "rnnc show std GRU --stage hoisted",
}

# What no user's line brings about by itself.
NO_EXAMPLE: Final[dict[str, str]] = {
    "backend-replaced": "it takes a device, and no Triton",
    "cache-not-used": "it takes a folder that others may write into",
    "cell-redefined": "it takes a notebook",
    "gradient-mismatch": "it takes a mistake of the compiler",
    "import-mismatch": "it takes another version of a framework, or a mistake of rnnc",
    "internal-error": "it takes a mistake of rnnc",
    "kernel-replaced": "it takes a device on which a kernel is wrong",
    "missing-extra": "it takes an installation without the extra",
    "net-in-use": "it takes two threads",
    "no-backend": "the message says what this machine lacks",
    "out-of-memory": "the message says how much memory there is",
    "too-large": "the source would have 256 KiB",
    "wrong-kernel": "it takes a device on which a kernel is wrong",
}
