"""Records runs of PyTorch's modules and functions for the golden tests of gradus-nn.

    R = Recorder(seed)
    R.module("LSTM", [x, (h, c)-free tensors...], call=lambda m, x, h, c: ..., input_size=3, hidden_size=4)
    R.function("smooth_l1_loss", F.smooth_l1_loss, [x, y], beta=0.5)
    R.save("recurrent")

writes crates/nn/tests/goldens/recurrent.json and .npz, read by crates/nn/tests/support/mod.rs. The arrays of a case, in
order: inputs, parameters, buffers before, outputs, gradients of the inputs that take one and of all parameters,
buffers after. The loss behind the gradients is sum_k (output_k * weight_like(output_k, k)).sum() over the floating
outputs. Run in float64.
"""

import torch
from torch import nn

from common import ROOT, Draw, Writer, weight_like


def flat(out):
    """The tensors of a nested output, in order."""
    if isinstance(out, torch.Tensor):
        return [out]
    return [t for o in out if o is not None for t in flat(o)]


class Recorder:
    """Collects the cases of a group."""

    def __init__(self, seed):
        self.w, self.draw = Writer(), Draw(seed)

    def module(self, kind, inputs, call=None, train=True, make=None, fixed=(), low=-1.0, high=1.0, tolerance=1e-10, tolerance32=5e-5, **args):
        """Runs nn.KIND(**args), or make(**args), with drawn parameters on `inputs` (through `call(module, *inputs)`).

        Inputs whose index is in `fixed`, and those not floating, get no gradient.
        """
        m = (make or getattr(nn, kind))(**args).double().train(train)
        with torch.no_grad():
            for p in m.parameters():
                p.copy_(self.draw.uniform(tuple(p.shape), low, high))
            for name, b in m.named_buffers():
                if "running" in name:
                    b.copy_(self.draw.uniform(tuple(b.shape), 0.25, 2))
            if getattr(m, "padding_idx", None) is not None:
                m.weight[m.padding_idx] = 0
        call = call or (lambda m, *x: m(*x))
        self.record(kind, lambda *x: call(m, *x), inputs, fixed, args, m, train, tolerance, tolerance32)

    def function(self, kind, f, inputs, fixed=(), tolerance=1e-10, tolerance32=5e-5, **args):
        """Runs f(*inputs, **args)."""
        self.record(kind, lambda *x: f(*x, **args), inputs, fixed, args, nn.Module(), True, tolerance, tolerance32)

    def record(self, kind, f, inputs, fixed, args, m, train, tolerance, tolerance32):
        wanted = [t.dtype.is_floating_point and i not in fixed for i, t in enumerate(inputs)]
        inputs = [t.clone().requires_grad_(w) for t, w in zip(inputs, wanted)]
        params, buffers = dict(m.named_parameters()), dict(m.named_buffers())
        named = lambda items: [[k, *self.w.put(t)] for k, t in items]
        spec = {"kind": kind, "args": args, "train": train, "tolerance": tolerance, "tolerance32": tolerance32}
        spec["in"] = named(("grad" if w else "fixed", t) for t, w in zip(inputs, wanted))
        spec["params"] = named(params.items())
        spec["buffers"] = named(buffers.items())
        outputs = flat(f(*inputs))
        spec["out"] = named(("out", t) for t in outputs)
        sources = [t for t, w in zip(inputs, wanted) if w] + list(params.values())
        total = sum((t * weight_like(t, k)).sum() for k, t in enumerate(outputs) if t.requires_grad)
        grads = torch.autograd.grad(total, sources, allow_unused=True) if sources else []
        grads = [torch.zeros_like(s) if g is None else g for g, s in zip(grads, sources)]
        spec["gradients"] = named(("gradient", g) for g in grads)
        named(buffers.items())
        self.w.cases.append(spec)

    def save(self, group):
        if not self.w.ints:
            self.w.ints.append(torch.zeros(0, dtype=torch.int64).numpy())
        self.w.save(ROOT / "crates/nn/tests/goldens" / group)
