"""Learning rates of PyTorch's schedules, for the Rust test crates/nn/tests/schedules.rs to repeat.

    python scripts/goldens/schedules.py     (needs torch; made with torch 2.15)

writes crates/nn/tests/goldens/schedules.json: for each case the schedule with its arguments, the rates of the groups
of parameters at the start and after each of 30 steps, and the momenta (of SGD, or beta1 of Adam) where it changes them.
"""

import json

import torch
from torch.optim import lr_scheduler as S

from common import ROOT

STEPS = 30
METRICS = [5, 4, 3.5, 3.4999, 3.5, 3.6, 3.2, 3.3, 3.3, 3.3, 3.3, 3.3, 3.19995, 3.2, 3.3, 2.0, 2.0, 2.1, 2.0, 1.99999, 2.0]
METRICS += [2.5, 2.4, 2.4, 2.4, 1.5, 1.5, 1.5, 1.5, 1.5]

# Name, arguments. `parts` are schedules within a schedule; `groups` asks for a second group of parameters.
CASES = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 3, "gamma": 0.7}),
    ("MultiStepLR", {"milestones": [4, 15, 15, 22]}),
    ("MultiStepLR", {"milestones": [1, 9], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("ExponentialLR", {"gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 12}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 20}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 25, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 30}),
    ("CosineAnnealingLR", {"T_max": 11, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.6, "total_steps": 31}),
    (
        "OneCycleLR",
        {
            "max_lr": 0.6,
            "total_steps": 35,
            "pct_start": 0.2,
            "anneal_strategy": "linear",
            "base_momentum": 0.5,
            "max_momentum": 0.8,
            "div_factor": 5.0,
            "final_div_factor": 20.0,
            "three_phase": True,
        },
    ),
    ("OneCycleLR", {"max_lr": 0.6, "total_steps": 40, "pct_start": 0.45, "three_phase": True, "adam": True}),
    ("CyclicLR", {"base_lr": 0.05, "max_lr": 0.4, "step_size_up": 6}),
    ("CyclicLR", {"base_lr": 0.05, "max_lr": 0.4, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"}),
    (
        "CyclicLR",
        {
            "base_lr": 0.05,
            "max_lr": 0.4,
            "step_size_up": 5,
            "mode": "exp_range",
            "gamma": 0.93,
            "base_momentum": 0.6,
            "max_momentum": 0.7,
            "adam": True,
        },
    ),
    ("SequentialLR", {"milestones": [5], "parts": [("LinearLR", {"start_factor": 0.1}), ("ExponentialLR", {"gamma": 0.9})]}),
    (
        "SequentialLR",
        {
            "milestones": [3, 20],
            "groups": True,
            "parts": [("ConstantLR", {"total_iters": 2}), ("CosineAnnealingLR", {"T_max": 17}), ("StepLR", {"step_size": 4})],
        },
    ),
    ("ChainedScheduler", {"parts": [("ConstantLR", {"total_iters": 4}), ("ExponentialLR", {"gamma": 0.9})]}),
    ("ChainedScheduler", {"parts": [("StepLR", {"step_size": 9}), ("LinearLR", {"total_iters": 12})], "groups": True}),
    # As PyTorch's users write them.
    ("InverseLR", {"k": 0.3}),
    ("InverseLR", {"k": 2.0}),
    ("InverseSqrtLR", {}),
    ("InverseSqrtLR", {"groups": True}),
    ("NoamLR", {"d_model": 16, "warmup": 8}),
    ("NoamLR", {"d_model": 512, "warmup": 3}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01, "groups": True}),
    ("ReduceLROnPlateau", {"patience": 2}),
    ("ReduceLROnPlateau", {"factor": 0.5, "patience": 0, "cooldown": 2, "min_lr": 0.03, "threshold": 0.05}),
    ("ReduceLROnPlateau", {"mode": "max", "patience": 3, "threshold": 0.2, "threshold_mode": "abs", "groups": True}),
    ("ReduceLROnPlateau", {"mode": "max", "factor": 0.3, "patience": 1, "eps": 0.01}),
]

LAMBDAS = {
    "InverseLR": lambda k: lambda t: 1 / (1 + k * t),
    "InverseSqrtLR": lambda: lambda t: max(t, 1) ** -0.5,
    "NoamLR": lambda d_model, warmup: lambda t: d_model**-0.5 * min(max(t, 1) ** -0.5, max(t, 1) * warmup**-1.5),
}


def schedule(kind, optimizer, args):
    args = dict(args)
    if kind in LAMBDAS:
        return S.LambdaLR(optimizer, LAMBDAS[kind](**args))
    if "parts" in args:
        parts = [schedule(k, optimizer, a) for k, a in args.pop("parts")]
        return S.ChainedScheduler(parts) if kind == "ChainedScheduler" else S.SequentialLR(optimizer, parts, **args)
    return getattr(S, kind)(optimizer, **args)


def run(kind, args):
    args = dict(args)
    adam, groups = args.pop("adam", False), args.pop("groups", False)
    params = [{"params": [torch.zeros(1, requires_grad=True)]}]
    if groups:
        params.append({"params": [torch.zeros(1, requires_grad=True)], "lr": 0.02})
    optimizer = torch.optim.Adam(params, lr=0.1) if adam else torch.optim.SGD(params, lr=0.1, momentum=0.33)
    momentum = lambda: optimizer.param_groups[0]["betas"][0] if adam else optimizer.param_groups[0]["momentum"]
    scheduler = schedule(kind, optimizer, args)
    rates, momenta = [], []
    for i in range(STEPS + 1):
        rates.append([g["lr"] for g in optimizer.param_groups])
        momenta.append(momentum())
        if i < STEPS:
            optimizer.step()
            scheduler.step(METRICS[i]) if kind == "ReduceLROnPlateau" else scheduler.step()
    return {"adam": adam, "groups": groups, "rates": rates, "momenta": momenta}


if __name__ == "__main__":
    cases = [{"kind": kind, "args": args, **run(kind, args)} for kind, args in CASES]
    path = ROOT / "crates/nn/tests/goldens/schedules.json"
    rows = ",\n".join(json.dumps(c) for c in cases)
    path.write_text(f'{{"metrics": {json.dumps(METRICS)},\n"cases": [\n{rows}\n]}}\n')
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size / 1000:.0f} kB")
