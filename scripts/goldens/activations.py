"""Reference values and gradients of activations, and of dropout in use, made by PyTorch in float64.

    python scripts/goldens/activations.py         (needs torch and numpy; made with torch 2.15)

writes activations (.json, .npz; see recorder.py) in crates/nn/tests/goldens/, read by crates/nn/tests/activations.rs.
Every activation is recorded on drawn inputs and at far points and corners (its derivative there is a convention).
"""

import torch
import torch.nn.functional as F
from torch import nn

from recorder import Recorder

R = Recorder(31)
D = R.draw

FAR = torch.tensor([-1e4, -1000, -90.0, -20.5, -6, -3, -1, -0.5, -0.0, 0.0, 0.5, 1, 3, 6, 20.5, 90.0, 1000, 1e4], dtype=torch.float64)


def elementwise():
    plain = "ReLU ReLU6 Sigmoid LogSigmoid Tanh Tanhshrink Softsign SiLU Mish Hardswish SELU Identity"
    options = [("LeakyReLU", {}), ("LeakyReLU", {"negative_slope": 0.1}), ("LeakyReLU", {"negative_slope": 0.2}),
               ("ELU", {}), ("ELU", {"alpha": 0.5}), ("CELU", {}), ("CELU", {"alpha": 2.5}), ("GELU", {}),
               ("GELU", {"approximate": "tanh"}), ("Softplus", {}), ("Softplus", {"beta": 2.5, "threshold": 3.0}),
               ("Softplus", {"beta": 0.5}), ("Hardtanh", {}), ("Hardtanh", {"min_val": -0.5, "max_val": 3.0}),
               ("Hardshrink", {}), ("Hardshrink", {"lambd": 1.0}), ("Softshrink", {}), ("Softshrink", {"lambd": 1.0}),
               ("Threshold", {"threshold": 0.5, "value": -3.0}), ("Threshold", {"threshold": -1.0, "value": 20.0})]
    for kind, args in [(kind, {}) for kind in plain.split()] + options:
        R.module(kind, [FAR], **args)
        R.module(kind, [D.uniform((1, 3, 5), -7, 7)], **args)
        R.module(kind, [D.uniform((), -2, 2)], **args)
    # PyTorch's own derivative holds 1/6 in single precision.
    for x in (FAR, D.uniform((1, 3, 5), -7, 7)):
        R.function("Hardsigmoid", lambda x: F.relu6(x + 3) / 6, [x])
    for kind, f in (("Sign", torch.sign), ("Heaviside", lambda x: torch.heaviside(x, torch.ones_like(x)))):
        R.function(kind, f, [FAR], fixed=[0])
        R.function(kind, f, [D.uniform((2, 3))], fixed=[0])


def learned():
    R.module("PReLU", [FAR])
    R.module("PReLU", [D.uniform((2, 3))])
    R.module("PReLU", [D.uniform((2, 3, 5))], num_parameters=3)
    R.module("PReLU", [D.uniform((1, 2, 3, 2))], num_parameters=2)
    R.module("RReLU", [FAR], train=False)
    R.module("RReLU", [D.uniform((2, 5))], train=False, lower=0.25, upper=0.75)


def along_dims():
    hard = torch.tensor([[1e4, 0, -1e4], [-1e4, -1e4 + 1, -1e4 - 1], [1e4, 1e4, 1e4]], dtype=torch.float64)
    for kind in ("Softmax", "LogSoftmax", "Softmin"):
        for dim in (0, 1, -1):
            R.module(kind, [D.uniform((3, 4, 1), -4, 4)], dim=dim)
            R.module(kind, [hard], dim=dim)
    R.module("Softmax2d", [D.uniform((2, 3, 2, 5), -4, 4)])
    R.module("Softmax2d", [D.uniform((3, 1, 2), -4, 4)])
    R.module("GLU", [D.uniform((3, 6), -4, 4)])
    R.module("GLU", [D.uniform((1, 4, 3), -4, 4)], dim=1)
    R.module("GLU", [torch.tensor([[1e4, -1e4, 1e4, -1e4]], dtype=torch.float64)], dim=-1)


def dropouts():
    shapes = {"Dropout": (2, 5), "Dropout1d": (2, 3, 4), "Dropout2d": (1, 3, 2, 2), "Dropout3d": (1, 2, 2, 3, 2),
              "AlphaDropout": (3, 5), "FeatureAlphaDropout": (2, 3, 4)}
    for kind, shape in shapes.items():
        R.module(kind, [D.uniform(shape)], train=False, p=0.25)
        R.module(kind, [D.uniform(shape)], train=True, p=1.0)
        R.module(kind, [D.uniform(shape)], train=True, p=0.0)


if __name__ == "__main__":
    elementwise(), learned(), along_dims(), dropouts()
    R.save("activations")
