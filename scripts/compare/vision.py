"""Compares the vision models at full size with torchvision's.

    cargo build --release -p gradus-models --example compare
    python scripts/compare/vision.py --page        (all models; or names, --batch N, --only f32, --again)

needs torch, torchvision and safetensors. For each model: torchvision initialises it with a fixed seed and writes its
state as `.pth` and safetensors; Gradus loads both by name, evaluates a batch and takes a step in training
(crates/models/examples/compare.rs), in float64 and in float32. Compared, relative to the largest element: the output in
use, loss and gradients of the first and last weight in training, and buffers after the step. Gradus' checkpoint is loaded
by torchvision with `strict=True` and must hold the same numbers.

The bars are 1e-4 for the output, 1e-3 for loss and gradients, and buffers that agree to rounding (1e-8). All hold in
float64, output and loss in float32 too. Gradients and buffers in float32 are shown beside how far torch's own float32 is
from torch's float64: rounding decides on which side of a ReLU's kink some units lie, so two programs that round
differently differ there, however right each is (docs/models/interchange.md).

Each result is a line of `--results` (target/compare-vision.jsonl) as soon as it is there, and a model with a line is
not run again: an interrupted run goes on where it was. `--page` writes the table of docs/models/interchange.md, `--sizes`
prints what torchvision publishes (crates/models/tests/vision/sizes.rs).
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


def ours(name, place, binary, dtype):
    """What Gradus makes of the files in `place`, and its seconds."""
    started = time.time()
    subprocess.run([binary, place, name, dtype], check=True)
    return load_file(place / f"{name}.ours.safetensors"), time.time() - started


KEYS = ("output", "loss", "first", "last", "buffers")


def errors(got, want):
    assert got.keys() == want.keys(), got.keys() ^ want.keys()
    found = {k: off(got[k], want[k]) for k in KEYS[:4]}
    return found | {"buffers": max([off(got[k], want[k], 1e-3) for k in want if k.startswith("buffer.")], default=0.0)}


def loads_back(name, place, dtype):
    """Whether torchvision takes Gradus' checkpoint and every number is the one it had."""
    again = made(name)[0].to(dtype)
    again.load_state_dict(load_file(place / f"{name}.back.safetensors"), strict=True)
    state = load_file(place / f"{name}.safetensors")
    return all(torch.equal(t, state[n]) for n, t in again.state_dict().items())


def compare(name, args, place):
    """One model in float32 and float64: what differs from what, and by how much."""
    side = 299 if name == "inception_v3" else 224
    x = torch.randn(args.batch, 3, side, side, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(args.batch) % 1000
    save_file({"x": x, "labels": labels}, place / f"{name}.input.safetensors")
    row, found = {"model": name, "batch": args.batch, "back": True}, {}
    for dtype in (torch.float32, torch.float64):
        short = "f32" if dtype is torch.float32 else "f64"
        model, architecture, aux_weight = made(name)
        model = model.to(dtype)
        (place / f"{name}.json").write_text(json.dumps({"architecture": architecture, "aux_weight": aux_weight}))
        torch.save(model.state_dict(), place / f"{name}.pth")
        save_file(dict(model.state_dict()), place / f"{name}.safetensors")
        found[f"torch {short}"] = step(model, x.to(dtype), labels, aux_weight)
        del model
        if short in args.only:
            found[short], row[f"seconds {short}"] = ours(name, place, args.binary, short)
            row["back"] &= loads_back(name, place, dtype)
    pairs = {"f64": ("f64", "torch f64"), "f32": ("f32", "torch f32")}
    pairs |= {"f32 from exact": ("f32", "torch f64"), "torch f32 from exact": ("torch f32", "torch f64")}
    row |= {k: errors(found[a], found[b]) for k, (a, b) in pairs.items() if a in found}
    return row


BARS = {"output": 1e-4, "loss": 1e-3, "first": 1e-3, "last": 1e-3, "buffers": 1e-8}


def faults(row):
    """What is above a bar."""
    wrong = [] if row["back"] else ["state"]
    wrong += [f"f64 {k}" for k, v in row.get("f64", {}).items() if v > BARS[k]]
    return wrong + [f"f32 {k}" for k in ("output", "loss") if row.get("f32", {}).get(k, 0.0) > BARS[k]]


def cells(row):
    """The columns of a result: Gradus in float64, then in float32, then Gradus' and torch's distance from the exact."""
    number = lambda of, k: f"{row[of][k]:.0e}" if of in row else "-"
    columns = [str(row["batch"])] + [number("f64", k) for k in KEYS] + [number("f32", k) for k in ("output", "loss")]
    ours, torchs = "f32 from exact", "torch f32 from exact"
    return columns + [f"{number(ours, k)} / {number(torchs, k)}" for k in KEYS if k != "loss"]


def write_page(rows):
    """Puts the table between the marks of the page."""
    path = ROOT / "docs/models/interchange.md"
    begin, end = "<!-- table: scripts/compare/vision.py --page -->", "<!-- end of table -->"
    head = ["model", "batch", *(f"f64 {k}" for k in KEYS), "f32 output", "f32 loss"]
    head += [f"from exact: {k}" for k in KEYS if k != "loss"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join([f"`{r['model']}`", *cells(r)]) + " |" for r in rows]
    text = path.read_text()
    before, after = text[: text.index(begin)], text[text.index(end) :]
    path.write_text(before + "\n".join([begin, "", *lines, "", after]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--binary", default=ROOT / "target/release/examples/compare")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=["f32", "f64"], default=["f32", "f64"], help="precisions of Gradus")
    parser.add_argument("--keep", type=Path, help="leave the files in this directory")
    parser.add_argument("--results", type=Path, default=ROOT / "target/compare-vision.jsonl")
    parser.add_argument("--again", action="store_true", help="run also what has a result")
    parser.add_argument("--page", action="store_true", help="write the table of docs/models/interchange.md")
    parser.add_argument("--sizes", action="store_true", help="only print what torchvision publishes of each model")
    args = parser.parse_args()
    if args.sizes:
        for name in args.models:
            meta = zoo.get_model_weights(name).DEFAULT.meta
            print(f'    ("{name}", {meta["num_params"]:_}, {meta["_ops"]}),')
        sys.exit()
    lines = args.results.read_text().splitlines() if args.results.exists() else []
    rows = {} if args.again else {row["model"]: row for row in map(json.loads, lines)}
    for name in args.models:
        if name not in rows:
            with tempfile.TemporaryDirectory() as scratch:
                place = args.keep or Path(scratch)
                place.mkdir(exist_ok=True, parents=True)
                rows[name] = compare(name, args, place)
            with args.results.open("a") as results:
                results.write(json.dumps(rows[name]) + "\n")
        above = faults(rows[name])
        seconds = ", ".join(f"{k} {v:.0f}" for k, v in rows[name].items() if k.startswith("seconds"))
        print(f"{name:18}", *cells(rows[name]), seconds, "ABOVE A BAR: " + ", ".join(above) if above else "", flush=True)
    if args.page:
        write_page([rows[name] for name in MODELS if name in rows])
    failed = [name for name in args.models if faults(rows[name])]
    sys.exit(f"above a bar: {', '.join(failed)}" if failed else 0)
