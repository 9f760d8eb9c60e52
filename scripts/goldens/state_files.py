"""Writes the small state and array files that the readers are tested with.

Run from the repository root:  python scripts/goldens/state_files.py
Needs torch, numpy and safetensors. The elements are counted up, so the tests state them without a reference file.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

NN = Path("crates/nn/tests/data")
ARRAYS = Path("crates/tensor/tests/data")


def state():
    """Every element type, a transposed and an offset view, a tied pair, a scalar and an empty tensor."""
    base = torch.arange(12, dtype=torch.float32)
    weight = base.view(3, 4)
    return OrderedDict(
        [
            ("weight", weight),
            ("tied", weight),
            ("transposed", weight.t()),
            ("offset", base[5:9]),
            ("strided", base[1::3]),
            ("f64", torch.arange(3, dtype=torch.float64) / 4),
            ("f16", torch.arange(3).to(torch.float16)),
            ("bf16", torch.arange(3).to(torch.bfloat16)),
            ("i64", torch.tensor([-1, 1 << 40])),
            ("i32", torch.tensor([-7], dtype=torch.int32)),
            ("i16", torch.tensor([-300], dtype=torch.int16)),
            ("i8", torch.tensor([-3, 3], dtype=torch.int8)),
            ("u8", torch.tensor([255], dtype=torch.uint8)),
            ("bool", torch.tensor([True, False])),
            ("num_batches_tracked", torch.tensor(5)),
            ("empty", torch.zeros(0, 3)),
        ]
    )


def checkpoint():
    """A training checkpoint: the model's dict among other things, optimiser state included."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(torch.arange(p.numel()).view_as(p) + 10 * i)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(torch.arange(p.numel()).view_as(p) + 10 * i)
    return {
        "epoch": 3,
        "best": 0.97,
        "note": None,
        "raw": b"ab",
        "classes": ["cat", "dog"],
        "shape": model[0].weight.shape,
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "optimizer": optimizer.state_dict(),
        "state_dict": model.state_dict(),
    }


class Net(torch.nn.Module):
    """A whole pickled module, which must be refused."""


def main():
    NN.mkdir(parents=True, exist_ok=True)
    ARRAYS.mkdir(parents=True, exist_ok=True)
    torch.save(state(), NN / "state.pth")
    torch.save(state(), NN / "state_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(dict(state()), NN / "state_protocol4.pt", pickle_protocol=4)
    torch.save(checkpoint(), NN / "checkpoint.pt")
    torch.save({"encoder": {"w": torch.ones(2)}, "layers": {0: {"b": torch.zeros(1)}}}, NN / "nested.pt")
    torch.save({"w": torch.nn.Parameter(torch.ones(2, 2))}, NN / "parameter.pt")
    torch.save(Net(), NN / "module.pt")
    safetensors.torch.save_file(
        {k: v.contiguous().clone() for k, v in state().items()}, NN / "state.safetensors", {"made by": "safetensors"}
    )
    grid = np.arange(12, dtype=np.float32).reshape(3, 4) / 4
    small = np.array([-3, 0, 300], dtype=np.int16)
    np.savez_compressed(ARRAYS / "compressed.npz", grid=grid, mask=np.array([True, False, True]), small=small)
    np.save(ARRAYS / "fortran_big_endian.npy", np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)))


if __name__ == "__main__":
    main()
