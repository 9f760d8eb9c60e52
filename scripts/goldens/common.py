"""What the golden scripts share: inputs that any language can reproduce, and one packed file of arrays.

A golden file is a pair: `NAME.json` lists the cases (operation, arguments, the kind and shape of each array, in
order) and `NAME.npz` holds all their numbers end to end, as `f` (float64) and `i` (int64). Reading is a walk over
the cases with one cursor an array. Two arrays instead of thousands keep the file small.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]


def weight_like(t, k):
    """The output weighting of the loss: sin(0.3 + 1.7 i + k) for flat index i of output number k."""
    i = torch.arange(t.numel(), dtype=torch.float64)
    return torch.sin(0.3 + 1.7 * i + k).reshape(t.shape)


class Draw:
    """Seeded inputs. Values are multiples of 1/64, so that they are exact in float32 and compress well."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def uniform(self, shape, low=-2.0, high=2.0):
        """Uniform multiples of 1/64 in [low, high]."""
        n = self.rng.integers(math.ceil(low * 64), math.floor(high * 64) + 1, size=shape)
        return torch.tensor(n / 64.0, dtype=torch.float64)

    def distinct(self, shape, scale=1.0):
        """No two values equal: a shuffled range around zero, for whatever picks or orders."""
        count = math.prod(shape)
        n = self.rng.permutation(count) - count // 2
        return torch.tensor(n * scale / 8.0, dtype=torch.float64).reshape(shape)

    def index(self, shape, high):
        """Integers in [0, high)."""
        return torch.tensor(self.rng.integers(0, high, size=shape), dtype=torch.int64)

    def mask(self, shape):
        """Booleans, half of them true."""
        return torch.tensor(self.rng.integers(0, 2, size=shape) == 1)


class Writer:
    """Collects arrays and cases, and writes the pair of files."""

    def __init__(self):
        self.floats, self.ints, self.cases = [], [], []

    def put(self, t):
        """Appends a tensor; returns its [kind, shape] entry."""
        t = t.detach()
        if t.dtype.is_floating_point:
            self.floats.append(t.double().reshape(-1).numpy().copy())
            return ["f", list(t.shape)]
        self.ints.append(t.to(torch.int64).reshape(-1).numpy().copy())
        return ["b" if t.dtype == torch.bool else "i", list(t.shape)]

    def save(self, stem):
        """Writes STEM.json (one case a line) and STEM.npz."""
        stem = Path(stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in self.cases)
        stem.with_suffix(".json").write_text(f"[\n{lines}\n]\n")
        np.savez_compressed(stem.with_suffix(".npz"), f=np.concatenate(self.floats), i=np.concatenate(self.ints))
        size = stem.with_suffix(".npz").stat().st_size + stem.with_suffix(".json").stat().st_size
        print(f"{stem.name}: {len(self.cases)} cases, {size / 1000:.0f} kB")
