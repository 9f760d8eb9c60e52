"""Reference outputs and gradients of layers and losses, and the bounds of initialisers, made by PyTorch in float64.

    python scripts/goldens/nn.py         (needs torch and numpy; made with torch 2.15)

writes layers, losses (.json, .npz; see recorder.py) and initialisers.json in crates/nn/tests/goldens/, read by
crates/nn/tests/goldens.rs. Tensors among the arguments of a loss follow its inputs, named by `weights`. A case of an
initialiser holds only numbers: the bound or standard deviation.
"""

import json
import math

import torch
import torch.nn.functional as F

from common import ROOT
from recorder import Recorder, nn

R = Recorder(21)
L = Recorder(22)
D = R.draw


def loss(kind, inputs, tolerance=1e-10, **args):
    """Records F.KIND(*inputs, **args), differentiated by its first input."""
    extra = {k: v for k, v in args.items() if isinstance(v, torch.Tensor)}
    plain = {k: v for k, v in args.items() if k not in extra}
    inputs = inputs + list(extra.values())
    f = lambda *x: getattr(F, kind)(x[0], x[1], **dict(zip(extra, x[2:])), **plain)
    args = {"weights": list(extra), **plain}
    L.record(kind, f, inputs, range(1, len(inputs)), args, nn.Module(), True, tolerance, 5e-5)


def layers():
    R.module("Linear", [D.uniform((4, 3))], in_features=3, out_features=5)
    R.module("Linear", [D.uniform((2, 2, 4))], in_features=4, out_features=2, bias=False)
    R.module("Conv2d", [D.uniform((2, 2, 5, 4))], in_channels=2, out_channels=3, kernel_size=3)
    R.module("Conv2d", [D.uniform((1, 4, 6, 6))], in_channels=4, out_channels=4, kernel_size=3, stride=2, padding=1, groups=2, bias=False)
    R.module("Conv2d", [D.uniform((1, 1, 7, 7))], in_channels=1, out_channels=2, kernel_size=3, padding=2, dilation=2)
    R.module("MaxPool2d", [D.distinct((2, 1, 4, 6))], kernel_size=2)
    R.module("MaxPool2d", [D.distinct((1, 2, 5, 5))], kernel_size=3, stride=2, padding=1)
    R.module("AvgPool2d", [D.uniform((1, 2, 4, 6))], kernel_size=2)
    R.module("AvgPool2d", [D.uniform((1, 2, 5, 5))], kernel_size=3, stride=2, padding=1)
    for train in (True, False):
        R.module("BatchNorm1d", [D.uniform((5, 3))], train=train, num_features=3)
        R.module("BatchNorm1d", [D.uniform((3, 2, 4))], train=train, num_features=2, eps=1e-3, momentum=0.3)
        R.module("BatchNorm2d", [D.uniform((3, 2, 2, 3))], train=train, num_features=2)
        R.module("BatchNorm2d", [D.uniform((2, 2, 3, 2))], train=train, num_features=2, affine=False, momentum=0.25)
    R.module("Flatten", [D.uniform((2, 3, 2))])
    R.module("Flatten", [D.uniform((2, 3, 2, 2))], start_dim=2)
    R.module("ReLU", [D.uniform((2, 5))])
    R.module("ReLU", [torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)])
    R.module("LogSoftmax", [D.uniform((3, 4), -8, 8)], dim=1)
    R.module("LogSoftmax", [D.uniform((2, 3, 2), -300, 300)], dim=-1)
    R.module("Embedding", [D.index((2, 4), 5)], num_embeddings=5, embedding_dim=3)
    R.module("Embedding", [torch.tensor([1, 0, 3, 1, 2, 0])], num_embeddings=4, embedding_dim=2, padding_idx=0)


def losses():
    logits, labels = D.uniform((5, 4), -4, 4), torch.tensor([3, 0, 2, -100, 1])
    class_weight = torch.tensor([0.5, 1.0, 2.0, 1.5], dtype=torch.float64)
    plain = torch.tensor([3, 0, 2, 2, 1])
    for reduction in ("mean", "sum", "none"):
        loss("mse_loss", [D.uniform((3, 2)), D.uniform((3, 2))], reduction=reduction)
        loss("cross_entropy", [logits, plain], reduction=reduction)
        loss("cross_entropy", [logits, labels], reduction=reduction, weight=class_weight)
        loss("cross_entropy", [logits, labels], reduction=reduction, label_smoothing=0.2)
        loss("cross_entropy", [logits, labels], reduction=reduction, label_smoothing=0.1, weight=class_weight)
        loss("nll_loss", [logits.log_softmax(1), plain], reduction=reduction)
        loss("nll_loss", [logits.log_softmax(1), labels], reduction=reduction, weight=class_weight)
        p, t = D.uniform((3, 2), 0.05, 0.95), D.uniform((3, 2), 0, 1)
        loss("binary_cross_entropy", [p, t], reduction=reduction)
        loss("binary_cross_entropy", [p, t], reduction=reduction, weight=D.uniform((3, 2), 0.25, 2))
        z = D.uniform((3, 2), -4, 4)
        loss("binary_cross_entropy_with_logits", [z, t], reduction=reduction)
        loss("binary_cross_entropy_with_logits", [z, t], reduction=reduction, pos_weight=torch.tensor([0.5, 3.0], dtype=torch.float64))
        loss("binary_cross_entropy_with_logits", [z, t], reduction=reduction, weight=D.uniform((3, 2), 0.25, 2))
    loss("cross_entropy", [logits, plain], ignore_index=2, reduction="mean")
    loss("nll_loss", [logits.log_softmax(1), plain], ignore_index=2, reduction="mean")
    loss("cross_entropy", [D.uniform((2, 3, 2, 2), -3, 3), D.index((2, 2, 2), 3)], reduction="mean")
    loss("cross_entropy", [torch.tensor([[1000.0, 0.0], [-1000, 1000]], dtype=torch.float64), torch.tensor([1, 1])], reduction="mean")
    sure = torch.tensor([-1000.0, -40.0, 40.0, 1000.0], dtype=torch.float64)
    loss("binary_cross_entropy_with_logits", [sure, torch.tensor([1.0, 0, 0, 1], dtype=torch.float64)], reduction="none")
    # PyTorch holds a denominator here at 1e-12 in single precision.
    edge = [torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64), torch.tensor([1.0, 0, 1], dtype=torch.float64)]
    loss("binary_cross_entropy", edge, tolerance=1e-7, reduction="none")


def initialisers():
    cases = []
    for shape in ([30, 20], [16, 8, 3, 3]):
        t = torch.empty(shape)
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(t)
        for nonlinearity, a in (("relu", 0), ("leaky_relu", math.sqrt(5)), ("tanh", 0), ("linear", 0)):
            gain = nn.init.calculate_gain(nonlinearity, a)
            for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
                std = gain / math.sqrt(fan)
                args = {"shape": shape, "mode": mode, "nonlinearity": nonlinearity, "a": a}
                cases.append({"init": "kaiming_uniform", **args, "bound": math.sqrt(3) * std})
                cases.append({"init": "kaiming_normal", **args, "std": std})
        for gain in (1.0, 2.0):
            std = gain * math.sqrt(2 / (fan_in + fan_out))
            cases.append({"init": "xavier_uniform", "shape": shape, "gain": gain, "bound": math.sqrt(3) * std})
            cases.append({"init": "xavier_normal", "shape": shape, "gain": gain, "std": std})
    for shape in ([16, 8, 3, 3], [30, 20]):
        fan_in = math.prod(shape[1:])
        cases.append({"init": "default", "shape": shape, "bound": 1 / math.sqrt(fan_in)})
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (ROOT / "crates/nn/tests/goldens/initialisers.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    layers(), losses(), initialisers()
    R.save("layers"), L.save("losses")
