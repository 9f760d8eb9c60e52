"""Loss trajectories of PyTorch, for the Rust test crates/nn/tests/trajectory.rs to repeat.

    python scripts/goldens/trajectory.py     (needs torch and numpy; made with torch 2.15)

writes crates/nn/tests/goldens/trajectory.json. No weights are stored: parameters and inputs follow formulas.
Parameter number p (in the order of named_parameters) has the values sin(0.37 i + p) / sqrt(fan_in), where i is the
flat index and fan_in the size of the weight's second dimension (of its layer's weight, for a bias). Inputs are
cos(0.11 i) by flat index and the label of row r is 7 r mod classes. A formula is evaluated in float64, then rounded.

`notes` is the network 784-128-64-10 (ReLU, LogSoftmax, NLL) in float32, batch 64, plain SGD at 0.003, and `notes_fast`
the same at 0.3, where ten steps change the loss much. `optimisers` trains 6-5-3 (tanh, cross entropy, batch 4) in
float64 with each optimiser, at steps large enough to tell variants apart. With `biases`, those are a second group of
parameters with these options. Each has ten losses (twelve for `optimisers`, which has also the last parameters).
PyTorch lacks Lion and LAMB: they are written here from their papers' pseudo-code, in plain NumPy.
"""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common import ROOT


def fill(model, dtype):
    """Sets every parameter by the formula."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    fan_in = [m.weight.shape[1] for m in layers for _ in m.parameters()]
    with torch.no_grad():
        for p, (t, fan) in enumerate(zip(model.parameters(), fan_in, strict=True)):
            i = torch.arange(t.numel(), dtype=torch.float64)
            t.copy_((torch.sin(0.37 * i + p) / math.sqrt(fan)).reshape(t.shape).to(dtype))


def batch(rows, width, classes, dtype):
    """Inputs and labels by the formula."""
    i = torch.arange(rows * width, dtype=torch.float64)
    return torch.cos(0.11 * i).reshape(rows, width).to(dtype), 7 * torch.arange(rows) % classes


def run(model, optimizer, loss_of, steps=10):
    """Losses of `steps` steps, each before its step."""

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


def notes(lr):
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10), nn.LogSoftmax(1))
    fill(model, torch.float32)
    x, y = batch(64, 784, 10, torch.float32)
    return run(model, torch.optim.SGD(model.parameters(), lr), lambda m: F.nll_loss(m(x), y))


class InNumpy:
    """An optimiser whose `update(p, g, state, t)` is written in NumPy and returns the new parameter."""

    def __init__(self, params, **args):
        self.params, self.state, self.t = list(params), {}, 0
        self.__dict__.update(args)

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    def step(self, closure):
        loss = closure()
        self.t += 1
        for i, p in enumerate(self.params):
            new = self.update(p.detach().numpy().copy(), p.grad.numpy(), self.state.setdefault(i, {}), self.t)
            p.data.copy_(torch.from_numpy(new))
        return loss


class Lion(InNumpy):
    """Chen et al., 2023, algorithm 2."""

    def update(self, p, g, state, t):
        b1, b2 = self.betas
        m = state.get("m", np.zeros_like(p))
        c = b1 * m + (1 - b1) * g
        state["m"] = b2 * m + (1 - b2) * g
        return p - self.lr * (np.sign(c) + self.weight_decay * p)


class Lamb(InNumpy):
    """You et al., 2019, algorithm 2, with phi the identity."""

    def update(self, p, g, state, t):
        b1, b2 = self.betas
        state["m"] = b1 * state.get("m", np.zeros_like(p)) + (1 - b1) * g
        state["v"] = b2 * state.get("v", np.zeros_like(p)) + (1 - b2) * g * g
        r = (state["m"] / (1 - b1**t)) / (np.sqrt(state["v"] / (1 - b2**t)) + self.eps)
        r = r + self.weight_decay * p
        return p - self.lr * np.sqrt((p * p).sum()) / np.sqrt((r * r).sum()) * r


O = torch.optim
OPTIMISERS = {
    "sgd": (O.SGD, {"lr": 0.5}),
    "sgd_momentum": (O.SGD, {"lr": 0.2, "momentum": 0.9}),
    "sgd_dampening": (O.SGD, {"lr": 0.2, "momentum": 0.9, "dampening": 0.5}),
    "sgd_nesterov": (O.SGD, {"lr": 0.2, "momentum": 0.8, "nesterov": True}),
    "sgd_weight_decay": (O.SGD, {"lr": 0.2, "momentum": 0.9, "weight_decay": 0.1}),
    "sgd_maximize": (O.SGD, {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    "sgd_groups": (
        O.SGD,
        {"lr": 0.2, "momentum": 0.9, "weight_decay": 0.1, "biases": {"lr": 0.05, "momentum": 0.3, "weight_decay": 0.0}},
    ),
    "adam": (O.Adam, {"lr": 0.05}),
    "adam_betas": (O.Adam, {"lr": 0.05, "betas": [0.8, 0.95], "eps": 1e-3}),
    "adam_weight_decay": (O.Adam, {"lr": 0.05, "weight_decay": 0.1}),
    "adam_amsgrad": (O.Adam, {"lr": 0.3, "betas": [0.5, 0.6], "weight_decay": 0.1, "amsgrad": True}),
    "adam_maximize": (O.Adam, {"lr": 0.01, "maximize": True}),
    "adamw": (O.AdamW, {"lr": 0.05}),
    "adamw_betas": (O.AdamW, {"lr": 0.1, "betas": [0.5, 0.6], "eps": 1e-2, "weight_decay": 0.0}),
    "adamw_weight_decay": (O.AdamW, {"lr": 0.05, "weight_decay": 0.5}),
    "adamw_amsgrad": (O.AdamW, {"lr": 0.3, "betas": [0.5, 0.6], "amsgrad": True, "maximize": True}),
    "adamw_groups": (O.AdamW, {"lr": 0.05, "weight_decay": 0.5, "biases": {"lr": 0.2, "weight_decay": 0.0}}),
    "adagrad": (O.Adagrad, {"lr": 0.2}),
    "adagrad_all": (
        O.Adagrad,
        {"lr": 0.3, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-2, "weight_decay": 0.1},
    ),
    "rmsprop": (O.RMSprop, {"lr": 0.02}),
    "rmsprop_centered": (O.RMSprop, {"lr": 0.01, "alpha": 0.7, "eps": 1e-2, "centered": True, "weight_decay": 0.1}),
    "rmsprop_momentum": (O.RMSprop, {"lr": 0.01, "alpha": 0.8, "momentum": 0.8}),
    "rmsprop_all": (
        O.RMSprop,
        {"lr": 0.01, "alpha": 0.6, "momentum": 0.5, "eps": 1e-3, "centered": True, "maximize": True},
    ),
    "adadelta": (O.Adadelta, {"lr": 1.0}),
    "adadelta_all": (O.Adadelta, {"lr": 5.0, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    "adamax": (O.Adamax, {"lr": 0.05}),
    "adamax_all": (O.Adamax, {"lr": 0.1, "betas": [0.6, 0.7], "eps": 1e-2, "weight_decay": 0.1}),
    "nadam": (O.NAdam, {"lr": 0.05}),
    "nadam_all": (
        O.NAdam,
        {"lr": 0.05, "betas": [0.8, 0.9], "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.5},
    ),
    "nadam_decoupled": (O.NAdam, {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    "radam": (O.RAdam, {"lr": 0.05}),
    "radam_all": (O.RAdam, {"lr": 0.1, "betas": [0.6, 0.9], "eps": 1e-3, "weight_decay": 0.1}),
    "radam_decoupled": (
        O.RAdam,
        {"lr": 0.1, "betas": [0.9, 0.95], "weight_decay": 0.3, "decoupled_weight_decay": True},
    ),
    "rprop": (O.Rprop, {"lr": 0.05}),
    "rprop_all": (O.Rprop, {"lr": 0.1, "etas": [0.3, 1.7], "step_sizes": [0.02, 0.25]}),
    "asgd": (O.ASGD, {"lr": 0.5}),
    "asgd_all": (O.ASGD, {"lr": 0.5, "lambd": 0.1, "alpha": 0.5, "t0": 3.0, "weight_decay": 0.1}),
    "lion": (Lion, {"lr": 0.02, "betas": [0.9, 0.99], "weight_decay": 0.0}),
    "lion_all": (Lion, {"lr": 0.05, "betas": [0.6, 0.8], "weight_decay": 0.5}),
    "lamb": (Lamb, {"lr": 0.05, "betas": [0.9, 0.999], "eps": 1e-6, "weight_decay": 0.01}),
    "lamb_all": (Lamb, {"lr": 0.2, "betas": [0.6, 0.8], "eps": 1e-2, "weight_decay": 0.3}),
    "lbfgs": (O.LBFGS, {"lr": 0.1, "max_iter": 3}),
    "lbfgs_history": (O.LBFGS, {"lr": 0.05, "max_iter": 4, "history_size": 2, "max_eval": 3}),
    "lbfgs_wolfe": (O.LBFGS, {"lr": 1.0, "max_iter": 2, "line_search_fn": "strong_wolfe"}),
    "lbfgs_wolfe_history": (
        O.LBFGS,
        {"lr": 30.0, "max_iter": 1, "max_eval": 8, "history_size": 3, "line_search_fn": "strong_wolfe"},
    ),
}


def optimisers():
    # The numbers that ASGD and NAdam keep as tensors would otherwise be rounded to float32.
    torch.set_default_dtype(torch.float64)
    out = {}
    for name, (optimizer, args) in OPTIMISERS.items():
        model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        fill(model, torch.float64)
        x, y = batch(4, 6, 3, torch.float64)
        options = {k: v for k, v in args.items() if k != "biases"}
        params = list(model.parameters())
        if "biases" in args:
            params = [{"params": params[::2]}, {"params": params[1::2], **args["biases"]}]
        losses = run(model, optimizer(params, **options), lambda m: F.cross_entropy(m(x), y), 12)
        final = [v for p in model.parameters() for v in p.detach().reshape(-1).tolist()]
        out[name] = {"optimizer": optimizer.__name__, "args": args, "losses": losses, "final": final}
    torch.set_default_dtype(torch.float32)
    return out


if __name__ == "__main__":
    torch.set_num_threads(1)
    path = ROOT / "crates/nn/tests/goldens/trajectory.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(f'  {json.dumps(k)}: {json.dumps(v)}' for k, v in optimisers().items())
    path.write_text(f'{{"notes": {json.dumps(notes(0.003))},\n "notes_fast": {json.dumps(notes(0.3))},\n "optimisers": {{\n{rows}\n}}}}\n')
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
