"""Loss trajectories of PyTorch, for the Rust test crates/nn/tests/trajectory.rs to repeat.

    python scripts/goldens/trajectory.py     (needs torch and numpy; made with torch 2.15)

writes crates/nn/tests/goldens/trajectory.json. No weights are stored: parameters and inputs follow formulas.
Parameter number p (in the order of named_parameters) has the values sin(0.37 i + p) / sqrt(fan_in), where i is the
flat index and fan_in the size of the weight's second dimension (of its layer's weight, for a bias). Inputs are
cos(0.11 i) by flat index and the label of row r is 7 r mod classes. A formula is evaluated in float64, then rounded.

`notes` is the network 784-128-64-10 (ReLU, LogSoftmax, NLL) in float32, batch 64, plain SGD at 0.003, and `notes_fast`
the same at 0.3, where ten steps change the loss much. `optimisers` trains 6-5-3 (tanh, cross entropy, batch 4) in float64 with each optimiser, at steps large enough to tell variants apart.
Each has ten losses, and `optimisers` also the parameters after the tenth step.
"""

import json
import math

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
    """Losses of `steps` steps."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def notes(lr):
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10), nn.LogSoftmax(1))
    fill(model, torch.float32)
    x, y = batch(64, 784, 10, torch.float32)
    return run(model, torch.optim.SGD(model.parameters(), lr), lambda m: F.nll_loss(m(x), y))


OPTIMISERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.5}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.2, "momentum": 0.9}),
    "sgd_dampening": (torch.optim.SGD, {"lr": 0.2, "momentum": 0.9, "dampening": 0.5}),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.2, "momentum": 0.8, "nesterov": True}),
    "sgd_weight_decay": (torch.optim.SGD, {"lr": 0.2, "momentum": 0.9, "weight_decay": 0.1}),
    "adam": (torch.optim.Adam, {"lr": 0.05}),
    "adam_betas": (torch.optim.Adam, {"lr": 0.05, "betas": [0.8, 0.95], "eps": 1e-3}),
    "adam_weight_decay": (torch.optim.Adam, {"lr": 0.05, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 0.05}),
    "adamw_betas": (torch.optim.AdamW, {"lr": 0.1, "betas": [0.5, 0.6], "eps": 1e-2, "weight_decay": 0.0}),
    "adamw_weight_decay": (torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.5}),
}


def optimisers():
    out = {}
    for name, (optimizer, args) in OPTIMISERS.items():
        model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        fill(model, torch.float64)
        x, y = batch(4, 6, 3, torch.float64)
        losses = run(model, optimizer(model.parameters(), **args), lambda m: F.cross_entropy(m(x), y))
        final = [v for p in model.parameters() for v in p.detach().reshape(-1).tolist()]
        out[name] = {"optimizer": optimizer.__name__, "args": args, "losses": losses, "final": final}
    return out


if __name__ == "__main__":
    torch.set_num_threads(1)
    path = ROOT / "crates/nn/tests/goldens/trajectory.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(f'  {json.dumps(k)}: {json.dumps(v)}' for k, v in optimisers().items())
    path.write_text(f'{{"notes": {json.dumps(notes(0.003))},\n "notes_fast": {json.dumps(notes(0.3))},\n "optimisers": {{\n{rows}\n}}}}\n')
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
