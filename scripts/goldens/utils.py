"""What PyTorch's clipping and averages of weights give, for the Rust test crates/nn/tests/utils.rs to repeat.

    python scripts/goldens/utils.py     (needs torch; made with torch 2.15)

writes crates/nn/tests/goldens/utils.json. `clip`: gradients before and after. `average`: state dicts of AveragedModel
after four updates of Linear(2, 3), BatchNorm1d(3), whose entry i holds sin(0.7 j + i + k^2) at update k; the count of
batches is k.
"""

import json

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from common import ROOT

GRADS = [[3.0, -4.0, 0.5], [12.0], [-0.25, 0.0, 1e-3, 2.0]]


def clip(norm_type, max_norm):
    def fresh():
        params = [torch.zeros(len(g), dtype=torch.float64, requires_grad=True) for g in GRADS]
        for p, g in zip(params, GRADS):
            p.grad = torch.tensor(g, dtype=torch.float64)
        return params + [torch.ones(2, requires_grad=True)]

    flat = lambda params: [v for p in params if p.grad is not None for v in p.grad.tolist()]
    params, by_value = fresh(), fresh()
    norm = nn.utils.clip_grad_norm_(params, max_norm, norm_type)
    nn.utils.clip_grad_value_(by_value, max_norm)
    return {
        "grads": GRADS,
        "norm_type": None if norm_type == float("inf") else norm_type,
        "max_norm": max_norm,
        "norm": [norm.item()],
        "clipped": flat(params),
        "clipped_value": flat(by_value),
    }


def fill(model, k):
    for i, t in enumerate(model.state_dict().values()):
        if t.dtype.is_floating_point:
            j = torch.arange(t.numel(), dtype=torch.float64)
            t.copy_(torch.sin(0.7 * j + i + k * k).reshape(t.shape))
        else:
            t.fill_(k)


def average(decay, use_buffers):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double()
    fill(model, 9)
    multi = None if decay is None else get_ema_multi_avg_fn(decay)
    mean = AveragedModel(model, multi_avg_fn=multi, use_buffers=use_buffers)
    for k in range(4):
        fill(model, k)
        mean.update_parameters(model)
    state = {k: v.double().reshape(-1).tolist() for k, v in mean.state_dict().items()}
    return {"decay": decay, "use_buffers": use_buffers, "state": state}


if __name__ == "__main__":
    golden = {
        "clip": [clip(p, m) for p, m in [(2.0, 1.0), (2.0, 50.0), (1.0, 3.0), (3.0, 0.5), (float("inf"), 2.5)]],
        "average": [average(d, b) for d in (None, 0.9) for b in (False, True)],
    }
    path = ROOT / "crates/nn/tests/goldens/utils.json"
    path.write_text(json.dumps(golden) + "\n")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
