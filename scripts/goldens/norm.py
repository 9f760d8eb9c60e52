"""Reference outputs and gradients of the normalisations and of two initialisers, made by PyTorch in float64.

    python scripts/goldens/norm.py         (needs torch and numpy; made with torch 2.15)

writes norm (.json, .npz; see recorder.py) in crates/nn/tests/goldens/, read by crates/nn/tests/norm.rs. A case of
weight or spectral normalisation names the layer it wraps and that layer's arguments.
"""

import torch
from torch.nn.utils import parametrizations

from recorder import Recorder, nn

R = Recorder(31)
D = R.draw
torch.manual_seed(31)


def by_example():
    R.module("LayerNorm", [D.uniform((3, 5))], normalized_shape=5)
    R.module("LayerNorm", [D.uniform((1, 2, 3, 4))], normalized_shape=[3, 4], eps=1e-2)
    R.module("LayerNorm", [D.uniform((2, 3, 4))], normalized_shape=4, bias=False)
    R.module("LayerNorm", [D.uniform((7,))], normalized_shape=[7], elementwise_affine=False)
    R.module("LayerNorm", [torch.full((2, 3), 0.5, dtype=torch.float64)], normalized_shape=3)
    # eps=None is the machine's; it decides nothing here, but would differ between f64 and f32 near zero.
    R.module("RMSNorm", [D.uniform((3, 5))], normalized_shape=5)
    R.module("RMSNorm", [D.uniform((1, 2, 3, 4))], normalized_shape=[3, 4], eps=1e-2)
    R.module("RMSNorm", [D.uniform((2, 4))], normalized_shape=4, eps=1e-6, elementwise_affine=False)
    R.module("RMSNorm", [torch.zeros(2, 3, dtype=torch.float64)], normalized_shape=3, eps=1e-3)
    R.module("GroupNorm", [D.uniform((2, 6, 3))], num_groups=3, num_channels=6)
    R.module("GroupNorm", [D.uniform((1, 4, 3, 5))], num_groups=1, num_channels=4, eps=1e-2)
    R.module("GroupNorm", [D.uniform((3, 4))], num_groups=2, num_channels=4, affine=False)
    R.module("GroupNorm", [D.uniform((2, 4, 2, 1, 3))], num_groups=4, num_channels=4, bias=False)
    R.module("GroupNorm", [torch.full((2, 4, 3), -2.0, dtype=torch.float64)], num_groups=2, num_channels=4)


def by_batch():
    for train in (True, False):
        R.module("BatchNorm1d", [D.uniform((1, 3, 4))], train=train, num_features=3, bias=False)
        R.module("BatchNorm2d", [D.uniform((2, 3, 1, 2))], train=train, num_features=3, track_running_stats=False)
        R.module("BatchNorm3d", [D.uniform((2, 3, 2, 1, 2))], train=train, num_features=3, eps=1e-2, momentum=None)
        R.module("BatchNorm1d", [torch.full((4, 2), 3.0, dtype=torch.float64)], train=train, num_features=2, tolerance32=5e-4)
        for n, shape in ((1, (2, 3, 5)), (2, (3, 2, 2, 3)), (3, (1, 2, 2, 1, 3))):
            R.module(f"InstanceNorm{n}d", [D.uniform(shape)], train=train, num_features=shape[1])
            args = {"affine": True, "track_running_stats": True, "momentum": 0.3, "eps": 1e-3}
            R.module(f"InstanceNorm{n}d", [D.uniform(shape)], train=train, num_features=shape[1], **args)
        R.module("InstanceNorm1d", [D.uniform((3, 4))], train=train, num_features=3, affine=True, bias=False)
        R.module("InstanceNorm2d", [D.uniform((2, 3, 2))], train=train, num_features=2, track_running_stats=True)


def by_channels():
    R.module("LocalResponseNorm", [D.uniform((2, 5, 3))], size=3, alpha=0.5, beta=0.75, k=2.0)
    R.module("LocalResponseNorm", [D.uniform((1, 4, 2, 3))], size=2, alpha=1.0, beta=0.5)
    R.module("LocalResponseNorm", [D.uniform((1, 2, 1, 2, 2))], size=5)


def weights():
    def wrapped(norm, kind, x, train=True, options={}, **args):
        make = lambda layer, options, **a: getattr(parametrizations, norm)(getattr(nn, layer)(**a), **options)
        name = "WeightNorm" if norm == "weight_norm" else "SpectralNorm"
        R.module(name, [x], make=make, train=train, layer=kind, options=options, **args)

    conv = {"in_channels": 2, "out_channels": 3, "kernel_size": 2}
    wrapped("weight_norm", "Linear", D.uniform((3, 4)), in_features=4, out_features=2)
    wrapped("weight_norm", "Linear", D.uniform((1, 4)), options={"dim": 1}, in_features=4, out_features=3, bias=False)
    wrapped("weight_norm", "Linear", D.uniform((2, 3)), options={"dim": None}, in_features=3, out_features=2)
    wrapped("weight_norm", "Conv2d", D.uniform((2, 2, 3, 4)), **conv)
    wrapped("weight_norm", "ConvTranspose2d", D.uniform((1, 2, 2, 3)), **conv)
    wrapped("spectral_norm", "ConvTranspose2d", D.uniform((1, 2, 2, 3)), **conv)
    for train in (True, False):
        wrapped("spectral_norm", "Linear", D.uniform((3, 4)), train=train, in_features=4, out_features=2)
        options = {"n_power_iterations": 3, "dim": 1, "eps": 1e-6}
        wrapped("spectral_norm", "Linear", D.uniform((1, 3)), train=train, options=options, in_features=3, out_features=5, bias=False)
        wrapped("spectral_norm", "Conv2d", D.uniform((1, 2, 3, 4)), train=train, **conv)
    wrapped("spectral_norm", "Conv1d", D.uniform((1, 2, 4)), options={"n_power_iterations": 2}, **conv)


def initialisers():
    for shape, groups in (((4, 2, 3), 1), ((6, 3, 2, 3), 2), ((2, 4, 1, 3, 2), 1)):
        f = lambda x, groups: nn.init.dirac_(x.clone(), groups)
        R.function("dirac_", f, [D.uniform(shape)], fixed=[0], groups=groups)
    for shape in ((3, 5), (4, 4), (3, 1)):
        R.function("eye_", lambda x: nn.init.eye_(x.clone()), [D.uniform(shape)], fixed=[0])


if __name__ == "__main__":
    by_example(), by_batch(), by_channels(), weights(), initialisers()
    R.save("norm")
