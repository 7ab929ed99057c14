"""What only Triton's interpreter asks of the runtime: that kernels run one after the other."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import rnnc

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_nets_of_several_threads_do_not_disturb_each_other() -> None:
    nets = [rnnc.Recur(rnnc.cells.GRU(3, 4 + at), backend="triton") for at in range(3)]
    xs = np.ones((5, 2, 3), "float32")
    wanted = [rnnc.Recur(net.cell, backend="numpy").scan(xs) for net in nets]
    found: list[list[np.ndarray]] = [[] for _ in nets]

    def work(at: int) -> None:
        for _ in range(4):
            nets[at].reset()
            found[at].append(nets[at].scan(xs))

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(nets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine, theirs in zip(found, wanted, strict=True):
        assert len(mine) == 4
        for ys in mine:
            np.testing.assert_allclose(ys, theirs, rtol=1e-5, atol=1e-6)


def test_a_sparse_tensor_is_refused_with_the_way_out() -> None:
    net = rnnc.Recur(rnnc.cells.GRU(3, 4), backend="triton")
    with pytest.raises(rnnc.Error, match=r"sparse tensor: pass .*\.to_dense\(\)"):
        net.scan(torch.ones(5, 3).to_sparse())


def test_torchs_default_device_is_not_ours() -> None:
    torch.set_default_device("meta")
    try:
        net = rnnc.Recur(rnnc.cells.GRU(3, 4), backend="triton")
        assert np.isfinite(net.scan(np.ones((2, 3), "float32"))).all()
    finally:
        torch.set_default_device(None)
