"""Compares the vision models at full size with torchvision's.

    cargo build --release -p gradus-models --example compare
    python scripts/compare/vision.py                        (all models; or names, --f64, --keep DIR)

needs torch, torchvision and safetensors. For each model: torchvision initialises it with a fixed seed and writes its
state as `.pth` and safetensors; Gradus loads both by name, evaluates a batch and takes a step in training
(crates/models/examples/compare.rs). Compared, relative to the largest element: the output in use (1e-4), loss and
gradients of the first and last weight in training (1e-3), buffers after the step (1e-4). Gradus' checkpoint is loaded by
torchvision with `strict=True` and must hold the same numbers.

Where rounding decides on which side of a ReLU's kink a unit lies, gradients in float32 jump: the gradient of the first
weight of most of these nets is off by a percent or so in anybody's float32. The last columns (`torch`) say how far
torch's own float32 is from its float64. `--f64` compares in float64, with bars of 1e-8 and 1e-6.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision.models as zoo
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[2]

MODELS = """alexnet vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn googlenet inception_v3 resnet18 resnet34
    resnet50 resnet101 resnet152 wide_resnet50_2 wide_resnet101_2 resnext50_32x4d resnext101_32x8d resnext101_64x4d
    densenet121 densenet161 densenet169 densenet201 mobilenet_v2 squeezenet1_0 squeezenet1_1""".split()


def made(name):
    """torchvision's model without dropout, the same in Gradus' terms, and the weight of its auxiliary losses."""
    torch.manual_seed(0)
    with_aux = {"googlenet": 0.3, "inception_v3": 0.4}
    ours = {"name": name}
    if not name.startswith(("resnet", "wide_resnet", "resnext", "densenet")):
        ours["dropout"] = 0.0
    if name == "googlenet":
        ours["dropout_aux"] = 0.0
    if name in with_aux:
        # The truncated normal initialisation of scipy's kind takes minutes.
        model = zoo.get_model(name, init_weights=False, aux_logits=True)
    else:
        model = zoo.get_model(name)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model, ours, with_aux.get(name, 0.0)


def step(model, x, labels, aux_weight):
    model.eval()
    with torch.no_grad():
        output = model(x)
    model.train()
    model.zero_grad()
    outputs = model(x)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    loss = F.cross_entropy(outputs[0], labels) + aux_weight * sum(F.cross_entropy(o, labels) for o in outputs[1:])
    loss.backward()
    weights = [p.grad for p in model.parameters() if p.dim() > 1]
    result = {"output": output, "loss": loss.detach(), "first": weights[0], "last": weights[-1]}
    return result | {f"buffer.{n}": b.clone() for n, b in model.named_buffers()}


def off(got, want, least=1e-30):
    """The largest difference as a share of the largest element (or of `least`: a running mean can be 0 but for rounding)."""
    return ((got.double() - want.double()).abs().max() / want.double().abs().max().clamp_min(least)).item()


def compare(name, args, place):
    dtype = torch.float64 if args.f64 else torch.float32
    model, ours, aux_weight = made(name)
    model = model.to(dtype)
    side = 299 if name == "inception_v3" else 224
    x = torch.randn(args.batch, 3, side, side, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(args.batch) % 1000
    state = {n: t.clone() for n, t in model.state_dict().items()}
    torch.save(state, place / f"{name}.pth")
    save_file(state, place / f"{name}.safetensors")
    save_file({"x": x, "labels": labels}, place / f"{name}.input.safetensors")
    (place / f"{name}.json").write_text(json.dumps({"architecture": ours, "aux_weight": aux_weight}))
    want = step(model, x.to(dtype), labels, aux_weight)
    own = {}
    if not args.f64:
        model = model.double()
        model.load_state_dict(state)
        exact = step(model, x.double(), labels, aux_weight)
        own = {k: off(want[k], exact[k]) for k in ("output", "first", "last")}
    del model
    started = time.time()
    subprocess.run([args.binary, place, name, "f64" if args.f64 else "f32"], check=True)
    seconds = time.time() - started
    got = load_file(place / f"{name}.ours.safetensors")
    errors = {k: off(got[k], want[k]) for k in ("output", "loss", "first", "last")}
    assert got.keys() == want.keys(), got.keys() ^ want.keys()
    errors["buffers"] = max([off(got[k], want[k], 1e-3) for k in want if k.startswith("buffer.")], default=0.0)
    back, (again, _, _) = load_file(place / f"{name}.back.safetensors"), made(name)
    again = again.to(dtype)
    again.load_state_dict(back, strict=True)
    equal = all(torch.equal(t, state[n]) for n, t in again.state_dict().items())
    bars = dict.fromkeys(errors, 1e-6) | {"output": 1e-8} if args.f64 else dict(
        output=1e-4, loss=1e-3, first=1e-3, last=1e-3, buffers=1e-4
    )
    passed = equal and all(errors[k] <= bars[k] for k in errors)
    columns = [f"{errors[k]:.1e}" for k in ("output", "loss", "first", "last", "buffers")]
    columns += ["yes" if equal else "NO"] + [f"{v:.1e}" for v in own.values()]
    print(f"{name:18}", *(f"{c:>8}" for c in columns), f"{seconds:5.1f} s", "" if passed else "  ABOVE A BAR", flush=True)
    return passed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--binary", default=ROOT / "target/release/examples/compare")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--f64", action="store_true", help="compare in float64")
    parser.add_argument("--keep", type=Path, help="leave the files in this directory")
    args = parser.parse_args()
    names = "output loss first last buffers back" + ("" if args.f64 else " torch: output first last")
    print(f"{'model':18}", names)
    failed = []
    for name in args.models:
        with tempfile.TemporaryDirectory() as scratch:
            place = args.keep or Path(scratch)
            place.mkdir(exist_ok=True, parents=True)
            if not compare(name, args, place):
                failed.append(name)
    sys.exit(f"above a bar: {', '.join(failed)}" if failed else 0)
