"""Reference outputs and gradients of the layers of space: convolutions, pooling, padding, resizing, rearranging, skip
connections, lookup tables, and layers of two inputs; made by PyTorch in float64.

    python scripts/goldens/conv.py         (needs torch and numpy; made with torch 2.15)

writes conv (.json, .npz; see recorder.py) in crates/nn/tests/goldens/, read by crates/nn/tests/conv.rs.
"""

from collections import OrderedDict

import torch
from torch import nn

from recorder import Recorder

R = Recorder(61)
D = R.draw


def convolutions():
    def conv(dims, shape, i, o, k, **more):
        R.module(f"Conv{dims}d", [D.uniform(shape)], in_channels=i, out_channels=o, kernel_size=k, **more)

    conv(1, (2, 2, 7), 2, 3, [3], stride=[2], padding=[1])
    conv(1, (1, 4, 9), 4, 4, [3], groups=4, dilation=[2], bias=False)
    conv(3, (1, 2, 3, 4, 3), 2, 2, [2, 3, 1], padding=[1, 0, 1], stride=[1, 2, 1])
    conv(3, (2, 2, 3, 3, 4), 2, 4, [2, 2, 2], groups=2, dilation=[1, 2, 1])
    conv(2, (2, 3, 4, 5), 3, 2, [1, 1])
    conv(2, (1, 4, 5, 4), 4, 8, [3, 3], groups=4, padding=[1, 1])
    conv(2, (4, 5, 4), 4, 2, [3, 2], groups=2)
    for mode in ("zeros", "reflect", "replicate", "circular"):
        conv(1, (1, 2, 5), 2, 2, [3], padding=[2], padding_mode=mode)
        conv(2, (2, 1, 4, 5), 1, 2, [3, 3], padding=[1, 2], stride=[2, 1], padding_mode=mode)
        conv(3, (1, 1, 3, 4, 3), 1, 2, [3, 1, 3], padding=[1, 0, 2], padding_mode=mode)
        conv(2, (1, 2, 4, 5), 2, 2, [2, 4], padding="same", dilation=[1, 1], padding_mode=mode)
    conv(1, (2, 1, 8), 1, 2, [4], padding="same", dilation=[3], bias=False)
    conv(2, (1, 2, 5, 4), 2, 2, [3, 5], padding="same")
    conv(3, (1, 1, 3, 2, 4), 1, 1, [2, 1, 3], padding="same")
    conv(2, (1, 1, 5, 4), 1, 2, [3, 2], padding="valid")

    def transpose(dims, shape, i, o, k, call=None, **more):
        R.module(f"ConvTranspose{dims}d", [D.uniform(shape)], call=call, in_channels=i, out_channels=o, kernel_size=k, **more)

    transpose(1, (2, 2, 4), 2, 3, [3])
    transpose(1, (1, 4, 3), 4, 6, [3], stride=[2], padding=[1], output_padding=[1], groups=2, bias=False)
    transpose(2, (1, 2, 3, 4), 2, 2, [3, 2], stride=[2, 3], padding=[1, 0], output_padding=[1, 2])
    transpose(2, (2, 3, 2, 2), 3, 3, [2, 3], dilation=[2, 1], groups=3)
    transpose(2, (2, 3, 2), 2, 1, [2, 2], stride=[2, 2])
    transpose(3, (1, 2, 2, 2, 3), 2, 2, [2, 3, 2], stride=[2, 1, 1], padding=[0, 1, 0], output_padding=[1, 0, 0])
    transpose(3, (2, 2, 1, 2, 2), 2, 4, [2, 1, 3], groups=2, dilation=[1, 1, 2], bias=False)

    def separable(i, o, k, stride=1, padding=0, dilation=1, bias=True):
        depthwise = nn.Conv2d(i, i, k, stride, padding, dilation, groups=i, bias=bias)
        return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=nn.Conv2d(i, o, 1, bias=bias)))

    R.module("DepthwiseSeparableConv2d", [D.uniform((2, 3, 5, 4))], make=separable, i=3, o=4, k=3, padding=1, stride=2)
    R.module("DepthwiseSeparableConv2d", [D.uniform((1, 2, 6, 5))], make=separable, i=2, o=1, k=2, dilation=2, bias=False)


def pooling():
    R.module("MaxPool1d", [D.distinct((2, 2, 7))], kernel_size=[3], stride=[2], padding=[1])
    R.module("MaxPool3d", [D.distinct((1, 2, 4, 3, 4))], kernel_size=[2, 2, 3], stride=[2, 1, 1])
    both = lambda m, x: m(x)
    for kind, shape, args in (
        ("MaxPool1d", (1, 2, 8), dict(kernel_size=[2], stride=[3], dilation=[2])),
        ("MaxPool2d", (2, 1, 5, 6), dict(kernel_size=[3, 2], stride=[2, 2], padding=[1, 0], ceil_mode=True)),
        ("MaxPool2d", (1, 3, 4, 4), dict(kernel_size=[2, 2])),
        ("MaxPool3d", (1, 1, 4, 4, 3), dict(kernel_size=[2, 2, 2], stride=[2, 1, 1])),
    ):
        R.module(kind, [D.distinct(shape)], call=both, return_indices=True, **args)
    R.module("AvgPool1d", [D.uniform((2, 1, 7))], kernel_size=[3], stride=[2], padding=[1], count_include_pad=False)
    R.module("AvgPool2d", [D.uniform((1, 2, 5, 6))], kernel_size=[2, 3], ceil_mode=True)
    R.module("AvgPool3d", [D.uniform((1, 1, 4, 3, 5))], kernel_size=[2, 2, 3], stride=[1, 1, 2], padding=[1, 0, 1], divisor_override=5)
    for dims, shape, sizes in (
        (1, (2, 2, 7), ([3], [1])),
        (2, (1, 2, 5, 7), ([2, 3], [1, 1])),
        (3, (1, 1, 3, 5, 4), ([2, 4, 3], [1, 2, 1])),
    ):
        for size in sizes:
            R.module(f"AdaptiveAvgPool{dims}d", [D.uniform(shape)], output_size=size)
            R.module(f"AdaptiveMaxPool{dims}d", [D.distinct(shape)], output_size=size)
            R.module(f"AdaptiveMaxPool{dims}d", [D.distinct(shape)], return_indices=True, output_size=size)
    for dims, shape, args, output in (
        (1, (2, 2, 7), dict(kernel_size=[2]), [7]),
        (1, (1, 1, 9), dict(kernel_size=[3], stride=[3], padding=[1]), None),
        (2, (1, 2, 4, 5), dict(kernel_size=[2, 2]), [4, 5]),
        (2, (2, 1, 6, 4), dict(kernel_size=[2, 2]), None),
        (3, (1, 1, 4, 2, 5), dict(kernel_size=[2, 1, 2]), [4, 2, 5]),
        (3, (1, 2, 2, 4, 2), dict(kernel_size=[2, 2, 2]), None),
    ):
        pooled, where = getattr(nn.functional, f"max_pool{dims}d")(D.distinct(shape), return_indices=True, **args)
        # The size of the output is recorded as an input, for the test to pass on.
        size = [torch.tensor(output)] if output else []
        call = lambda m, x, i, *s: m(x, i, output_size=s[0].tolist() if s else None)
        R.module(f"MaxUnpool{dims}d", [pooled, where, *size], call=call, **args)
    R.module("LPPool1d", [D.uniform((2, 2, 7))], norm_type=2.0, kernel_size=3, stride=2)
    R.module("LPPool1d", [D.uniform((1, 1, 8), 0.25, 2)], norm_type=1.5, kernel_size=2)
    R.module("LPPool2d", [D.uniform((1, 2, 5, 4))], norm_type=2.0, kernel_size=2, ceil_mode=True)
    R.module("LPPool2d", [D.uniform((2, 1, 4, 6), 0.25, 2)], norm_type=3.0, kernel_size=3, stride=1)
    R.module("LPPool2d", [D.uniform((1, 1, 4, 4))], norm_type=1.0, kernel_size=2)
    # A window of zeros, where the root has no derivative.
    R.module("LPPool1d", [torch.tensor([[[0.0, 0, 3, 4, 0, 1]]], dtype=torch.float64)], norm_type=2.0, kernel_size=2)
    # A window larger than the input, which the ceil mode lets in.
    R.module("LPPool2d", [D.uniform((1, 2, 3, 1))], norm_type=2.0, kernel_size=3, stride=3, ceil_mode=True)
    R.module("MaxPool2d", [D.distinct((1, 2, 2, 3))], kernel_size=[3, 2], stride=[2, 2], ceil_mode=True)
    R.module("LPPool3d", [D.uniform((1, 1, 4, 2, 4))], norm_type=2.0, kernel_size=2)


def padding():
    lists = {1: ([2, 1], [1, 0]), 2: ([1, 2, 0, 1], [2, 0, 1, 1]), 3: ([1, 0, 2, 1, 0, 1], [0, 1, 1, 1, 1, 0])}
    shapes = {1: (2, 2, 4), 2: (1, 2, 3, 4), 3: (1, 1, 2, 4, 3)}
    for dims in (1, 2, 3):
        for kind in ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
            for pads in (*lists[dims], 1):
                R.module(f"{kind}{dims}d", [D.uniform(shapes[dims])], padding=pads)
        for pads in (*lists[dims], 2):
            R.module(f"ConstantPad{dims}d", [D.uniform(shapes[dims])], padding=pads, value=-1.5)
    R.module("ZeroPad2d", [D.uniform((2, 4, 3))], padding=[-1, 2, 0, -2])
    R.module("ConstantPad1d", [D.uniform((1, 2, 5))], padding=[-2, 1], value=0.5)


def resizing():
    plane, line, space = (1, 2, 3, 4), (2, 1, 5), (1, 1, 2, 3, 2)
    for shape, size in ((plane, [5, 7]), (plane, [2, 3]), (line, [8]), (space, [3, 4, 5])):
        linear = {3: "linear", 4: "bilinear", 5: "trilinear"}[len(shape)]
        modes = [("nearest", None), ("nearest-exact", None), (linear, False), (linear, True)]
        if len(shape) == 4:
            modes += [("bicubic", False), ("bicubic", True)]
        for mode, corners in modes:
            more = {} if corners is None else {"align_corners": corners}
            R.module("Upsample", [D.uniform(shape)], size=size, mode=mode, **more)
            if len(shape) != 5:
                factor = (1.7, 2.5)[: len(shape) - 2] if size[0] > 2 else (0.7, 0.5)
                R.module("Upsample", [D.uniform(shape)], scale_factor=factor, mode=mode, **more)
                R.module("Upsample", [D.uniform(shape)], scale_factor=factor, mode=mode, recompute_scale_factor=True, **more)
    R.module("Upsample", [D.uniform((2, 1, 2, 2))], scale_factor=2.0, mode="nearest")
    # Factors that leave a dimension as it is or double it after rounding down.
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        R.module("Upsample", [D.uniform((1, 1, 3, 4))], scale_factor=(1.3, 2.2), mode=mode)
    R.module("PixelShuffle", [D.uniform((2, 8, 2, 3))], upscale_factor=2)
    R.module("PixelShuffle", [D.uniform((9, 1, 2))], upscale_factor=3)
    R.module("PixelUnshuffle", [D.uniform((2, 2, 4, 6))], downscale_factor=2)
    R.module("PixelUnshuffle", [D.uniform((1, 1, 1, 3, 3))], downscale_factor=3)
    R.module("ChannelShuffle", [D.uniform((2, 6, 2, 3))], groups=3)
    R.module("ChannelShuffle", [D.uniform((1, 4, 2))], groups=2)
    R.module("Unflatten", [D.uniform((2, 12))], dim=1, unflattened_size=[3, 2, 2])
    R.module("Unflatten", [D.uniform((2, 4, 3))], dim=-2, unflattened_size=[2, 2])
    R.module("Unfold", [D.uniform((2, 2, 4, 5))], kernel_size=[2, 3])
    R.module("Unfold", [D.uniform((1, 1, 5, 6))], kernel_size=[3, 2], dilation=[1, 2], padding=[1, 0], stride=[2, 1])
    R.module("Fold", [D.uniform((2, 4, 12))], output_size=[4, 5], kernel_size=[2, 2])
    R.module("Fold", [D.uniform((1, 12, 12))], output_size=[5, 6], kernel_size=[3, 2], dilation=[1, 2], padding=[1, 0], stride=[2, 1])


class Dense(nn.Module):
    """Layers that see all outputs before them, as DenseNet's without its bottlenecks."""

    def __init__(self, n, k0, k, bn):
        super().__init__()
        width = lambda i: k0 + i * k
        layer = lambda i: nn.ModuleDict(
            ({"norm": nn.BatchNorm2d(width(i))} if bn else {}) | {"conv": nn.Conv2d(width(i), k, 3, padding=1, bias=not bn)}
        )
        self.layers, self.bn = nn.ModuleList(layer(i) for i in range(n)), bn

    def forward(self, x):
        maps = [x]
        for layer in self.layers:
            x = torch.cat(maps, 1)
            maps.append(layer["conv"](layer["norm"](x).relu()) if self.bn else layer["conv"](x).relu())
        return torch.cat(maps, 1)


class Skip(nn.Module):
    """F(x) + x, or F(x) + S(x)."""

    def __init__(self, i, o):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1))
        self.shortcut = nn.Conv2d(i, o, 1) if i != o else None

    def forward(self, x):
        return self.inner(x) + (self.shortcut(x) if self.shortcut else x)


class Branches(nn.Module):
    """Branches side by side, joined along a dimension."""

    def __init__(self, dim):
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(2, 1, 1), nn.Conv2d(2, 3, 3, padding=1) if dim == 1 else nn.Conv2d(2, 1, 1)])
        self.dim = dim

    def forward(self, x):
        return torch.cat([b(x) for b in self.branches], self.dim)


def containers():
    for train in (True, False):
        R.module("DenseBlock", [D.uniform((2, 2, 3, 3))], make=Dense, train=train, tolerance32=2e-4, n=3, k0=2, k=2, bn=True)
    R.module("DenseBlock", [D.uniform((1, 3, 3, 2))], make=Dense, n=2, k0=3, k=1, bn=False)
    R.module("Residual", [D.uniform((2, 2, 3, 4))], make=Skip, i=2, o=2)
    R.module("Residual", [D.uniform((1, 2, 3, 3))], make=Skip, i=2, o=3)
    R.module("Concat", [D.uniform((2, 2, 3, 3))], make=Branches, dim=1)
    R.module("Concat", [D.uniform((1, 2, 2, 3))], make=Branches, dim=-1)


def two_inputs():
    R.module("Bilinear", [D.uniform((3, 2)), D.uniform((3, 4))], in1_features=2, in2_features=4, out_features=3)
    R.module("Bilinear", [D.uniform((2, 2, 3)), D.uniform((2, 2, 1))], in1_features=3, in2_features=1, out_features=2, bias=False)
    R.module("CosineSimilarity", [D.uniform((3, 4)), D.uniform((3, 4))])
    R.module("CosineSimilarity", [D.uniform((2, 3, 4)), D.uniform((3, 4))], dim=-1, eps=1e-6)
    zero = D.uniform((2, 3))
    zero[1] = 0
    R.module("CosineSimilarity", [zero, D.uniform((2, 3))])
    R.module("PairwiseDistance", [D.uniform((3, 4)), D.uniform((3, 4))])
    for p in (1.0, 3.0, float("inf")):
        name = {"p": "inf"} if p == float("inf") else {"p": p}
        make = lambda p, **a: nn.PairwiseDistance(p=float(p), **a)
        R.module("PairwiseDistance", [D.distinct((2, 2, 3)), D.uniform((2, 3))], make=make, keepdim=p == 3.0, eps=1e-3, **name)


def tables():
    index = lambda *rows: torch.tensor(rows)
    plain = dict(num_embeddings=5, embedding_dim=3)
    R.module("Embedding", [D.index((2, 4), 5)], **plain)
    R.module("Embedding", [index(1, 0, 3, 1, 1, 0)], padding_idx=0, scale_grad_by_freq=True, **plain)
    # The rows are shortened in place by the run itself; the recorded table is the one before it.
    R.module("Embedding", [index([1, 4], [3, 1])], max_norm=0.75, **plain)
    R.module("Embedding", [index(2, 2, 4)], max_norm=1.0, norm_type=1.0, **plain)
    bags = lambda m, x, *rest: m(x, *rest)
    for mode in ("sum", "mean", "max"):
        R.module("EmbeddingBag", [D.index((3, 4), 5)], mode=mode, **plain)
        R.module("EmbeddingBag", [index(1, 0, 3, 1, 2, 0, 4), index(0, 3, 3, 6)], call=bags, mode=mode, **plain)
        R.module("EmbeddingBag", [index(1, 0, 3, 0, 2, 0, 4), index(0, 3, 4, 6)], call=bags, mode=mode, padding_idx=0, **plain)
        R.module("EmbeddingBag", [index(4, 0, 3), index(0, 2, 3)], call=bags, mode=mode, include_last_offset=True, **plain)
    weights = lambda m, x, w, *rest: m(x, *rest, per_sample_weights=w)
    R.module("EmbeddingBag", [D.index((2, 3), 5), D.uniform((2, 3))], call=weights, mode="sum", **plain)
    R.module("EmbeddingBag", [D.index((4,), 5), D.uniform((4,)), index(0, 1)], call=weights, mode="sum", padding_idx=2, **plain)
    R.module("EmbeddingBag", [D.index((2, 3), 5)], mode="mean", max_norm=0.5, **plain)
    R.module("EmbeddingBag", [index([1, 1, 2], [2, 1, 0])], mode="sum", scale_grad_by_freq=True, **plain)


def second_configurations():
    """Of poolings that stand above in one configuration only; drawn last, so that the other cases stay as they are."""
    R.module("AvgPool1d", [D.uniform((1, 3, 6))], kernel_size=[2], ceil_mode=True)
    R.module("AvgPool3d", [D.uniform((2, 1, 3, 5, 4))], kernel_size=[3, 2, 2], stride=[1, 2, 1])
    R.module("LPPool3d", [D.uniform((2, 1, 3, 3, 4), 0.25, 2)], norm_type=3.0, kernel_size=[2, 3, 2], stride=[1, 1, 2])


if __name__ == "__main__":
    convolutions(), pooling(), padding(), resizing(), containers(), two_inputs(), tables(), second_configurations()
    R.save("conv")
