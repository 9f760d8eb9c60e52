"""Reference results of the vision models at reduced width, made by torchvision (or twins of its kind) in float64.

    python scripts/goldens/vision.py [vision] [dense] [fpn]        (needs torch and torchvision; made with torch 2.15)

writes files in crates/models/tests/goldens, one case a line, that crates/models/tests/vision/golden.rs reads:
vision.json (torchvision's classification nets), dense.json (nets that torchvision lacks, written in vision_twins.py) and
fpn.json (feature pyramids and backbones with one). Of vision.json and dense.json each line has
the architecture in the registry's terms, names and shapes of the state dict, the output in use, and of one step in
training the loss, the gradients and the running statistics. Inputs and parameters follow from a hash (`number`), so that
they need not be stored. Of each gradient and buffer there are the norm and a weighted sum, as of an output of more than
200 numbers; of that and of the first and last weight's gradient also up to 32 evenly spaced elements.

Where torchvision's constructor takes no width, `slim` divides the channels of all its layers.
"""

import contextlib
import json
import math
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.models as zoo
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor, resnet_fpn_backbone
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7
from torchvision.ops.misc import FrozenBatchNorm2d

import vision_twins as twins
from common import ROOT, weight_like

warnings.filterwarnings("ignore")


def number(key, shape):
    """Numbers in [-1, 1): splitmix64 of key and index, rounded to float32."""
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64((key << 32) + 1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    unit = (z >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1
    return torch.tensor(unit.astype(np.float32)).double().reshape(shape)


def value(key, name, shape):
    """What the entry `name` of a state dict begins with."""
    u = number(key, shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if len(shape) > 1:
        return (u * math.sqrt(6 / math.prod(shape[1:]))).float().double()
    if name.endswith("running_var"):
        return 1 + u / 2
    if name.endswith("bias") or name.endswith("running_mean"):
        return u / 8
    return 1 + u / 4


@contextlib.contextmanager
def slim(by):
    """Layers made within have `by` times fewer channels or units (but never touch the 3 of a picture)."""
    kept = nn.Conv2d.__init__, nn.Linear.__init__, nn.BatchNorm2d.__init__, FrozenBatchNorm2d.__init__
    divide = lambda n: n if n <= 3 else n // by

    def conv(self, i, o, *args, **kw):
        kept[0](self, divide(i), divide(o), *args, **kw)

    def linear(self, i, o, *args, **kw):
        kept[1](self, divide(i), divide(o), *args, **kw)

    def norm(self, n, *args, **kw):
        kept[2](self, divide(n), *args, **kw)

    def frozen(self, n, *args, **kw):
        kept[3](self, divide(n), *args, **kw)

    def put(*made):
        nn.Conv2d.__init__, nn.Linear.__init__, nn.BatchNorm2d.__init__, FrozenBatchNorm2d.__init__ = made

    put(conv, linear, norm, frozen)
    try:
        yield
    finally:
        put(*kept)


def rounded(t):
    return [float(f"{v:.10g}") for v in t.detach().double().reshape(-1).tolist()]


def digest(t):
    """Norm and weighted sum."""
    return rounded(torch.stack([t.double().norm(), (t.double() * weight_like(t, 0)).sum()]))


def some(t):
    """Up to 32 evenly spaced elements."""
    flat = t.reshape(-1)
    return rounded(flat[:: max(1, flat.numel() // 32)][:32])


def shown(t):
    """All numbers of a small output; of a large one its digest and some of them."""
    return rounded(t) if t.numel() <= 200 else digest(t) + some(t)


CASES = []


def classes(aux_weight):
    def loss(outputs, x):
        outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
        target = torch.arange(x.shape[0]) % 10
        return F.cross_entropy(outputs[0], target) + aux_weight * sum(F.cross_entropy(o, target) for o in outputs[1:])

    return loss


def pixels(output, x):
    """Cross-entropy with classes in an order that no two neighbours share."""
    n, k, h, w = output.shape
    return F.cross_entropy(output, (torch.arange(n * h * w) * 7 % 11 % k).reshape(n, h, w))


def picture(output, x):
    return F.mse_loss(output, x)


def capsules(outputs, x):
    """Margin loss and 0.0005 of the summed squares of the reconstruction's errors, as in the paper."""
    lengths, rebuilt = outputs
    there = F.one_hot(torch.arange(x.shape[0]) % lengths.shape[1], lengths.shape[1])
    short, long = (0.9 - lengths).relu().square(), (lengths - 0.1).relu().square()
    margin = (there * short + 0.5 * (1 - there) * long).sum(1).mean()
    return margin + 0.0005 * (rebuilt - x).square().sum() / x.shape[0]


def step(model, x, loss):
    """Output in use, then loss and gradients of one step in training."""
    model.zero_grad()
    model.eval()
    with torch.no_grad():
        output = model(x)
    model.train()
    now = loss(model(x), x)
    now.backward()
    return output, now, {n: p.grad.clone() for n, p in model.named_parameters()}


def case(architecture, model, shape, aux_weight=0.0, loss_of=None):
    """Records one model. Near a kink (of ReLU or a maximum) a gradient jumps, so that rounding decides about it: of a few
    inputs the first is taken whose gradients a change by 2e-5 moves little, and `smooth` says whether there was one."""
    model = model.double()
    loss_of = loss_of or classes(aux_weight)
    state = {n: value(k, n, tuple(t.shape)) for k, (n, t) in enumerate(model.state_dict().items())}
    weights = [n for n, p in model.named_parameters() if p.dim() > 1]
    for key in range(1 << 20, (1 << 20) + 4):
        x = number(key, shape)
        model.load_state_dict(state)
        _, _, moved = step(model, x * (1 + 2e-5 * number(key + 100, shape)), loss_of)
        model.load_state_dict(state)
        output, loss, gradients = step(model, x, loss_of)
        off = lambda n: ((moved[n] - gradients[n]).abs().max() / gradients[n].abs().max()).item()
        smooth = max(off(n) for n in weights) < 5e-4
        if smooth:
            break
    CASES.append({
        "architecture": architecture,
        "input": list(shape),
        "key": key,
        "smooth": smooth,
        "aux_weight": aux_weight,
        "state": [" ".join([n, *map(str, t.shape)]) for n, t in state.items()],
        "output": shown(output),
        "loss": rounded(loss)[0],
        "gradients": {n: digest(g) for n, g in gradients.items()},
        "first": [weights[0], some(gradients[weights[0]])],
        "last": [weights[-1], some(gradients[weights[-1]])],
        "buffers": {n: digest(b) for n, b in model.named_buffers()},
    })
    print(architecture["name"], list(output.shape), float(loss), key - (1 << 20), smooth, flush=True)


def classic():
    with slim(8):
        case({"name": "alexnet", "width_mult": 0.125, "dropout": 0, "num_classes": 10}, zoo.alexnet(num_classes=80, dropout=0), (2, 3, 67, 63))
        for name in ("vgg11", "vgg13_bn"):
            config = {"hidden": 512, "dropout": 0, "num_classes": 10}
            per = [1, 1, 2, 2, 2] if name == "vgg11" else [2] * 5
            config["stages"] = [[c] * n for c, n in zip([8, 16, 32, 64, 64], per)]
            case({"name": name, **config}, getattr(zoo, name)(num_classes=80, dropout=0), (2, 3, 64, 64))
        for name in ("squeezenet1_0", "squeezenet1_1"):
            config = {"name": name, "width_mult": 0.125, "dropout": 0, "num_classes": 10}
            case(config, getattr(zoo, name)(num_classes=80, dropout=0), (2, 3, 64, 60))


def residual():
    with slim(8):
        for name, block, layers, groups, width in (
            ("resnet18", BasicBlock, [2, 2, 2, 2], 1, 64),
            ("resnet50", Bottleneck, [1, 2, 1, 1], 1, 64),
            ("wide_resnet50_2", Bottleneck, [1, 1, 1, 1], 1, 128),
            ("resnext50_32x4d", Bottleneck, [1, 1, 1, 1], 4, 16),
        ):
            config = {"name": name, "layers": layers, "inplanes": 8, "groups": groups, "width_per_group": width, "num_classes": 10}
            model = ResNet(block, layers, 80, groups=groups, width_per_group=width)
            case(config, model, (4, 3, 64, 64))


def others():
    config = {"name": "mobilenet_v2", "width_mult": 0.25, "dropout": 0, "num_classes": 10}
    case(config, zoo.mobilenet_v2(num_classes=10, width_mult=0.25, dropout=0), (4, 3, 64, 64))
    config = {"growth_rate": 8, "block_config": [2, 3, 2, 2], "num_init_features": 16, "bn_size": 2, "num_classes": 10}
    case({"name": "densenet121", **config}, zoo.DenseNet(**{k: v for k, v in config.items()}), (4, 3, 64, 64))


def inception():
    with slim(8):
        config = {"width_mult": 0.125, "dropout": 0, "num_classes": 10}
        model = zoo.googlenet(num_classes=80, init_weights=False, dropout=0, dropout_aux=0)
        case({"name": "googlenet", "dropout_aux": 0, **config}, model, (4, 3, 64, 64), aux_weight=0.3)
        model = zoo.inception_v3(num_classes=80, init_weights=False, dropout=0)
        case({"name": "inception_v3", **config}, model, (2, 3, 299, 299), aux_weight=0.4)
        model = zoo.inception_v3(num_classes=80, init_weights=False, dropout=0, aux_logits=False, transform_input=True)
        config = {"aux_logits": False, "transform_input": True, **config}
        case({"name": "inception_v3", **config}, model, (4, 3, 139, 139))


def dense():
    stages, five = [[4, 4], [8]], [[4], [4], [6], [8], [8]]
    for stride in (32, 16, 8):
        config = {"stride": stride, "stages": five, "hidden": 12, "dropout": 0, "num_classes": 5}
        model = twins.Fcn(stride, five, hidden=12, num_classes=5)
        case({"name": f"fcn{stride}s", **config}, model, (2, 3, 45, 70), loss_of=pixels)
    case({"name": "segnet", "stages": stages, "num_classes": 5}, twins.SegNet(stages, 5), (2, 3, 19, 22), loss_of=pixels)
    for batch_norm, decoder in ((True, "transposed"), (False, "nearest")):
        config = {"channels": [4, 8, 12], "batch_norm": batch_norm, "decoder": decoder, "num_classes": 5}
        model = twins.UNet([4, 8, 12], batch_norm, decoder, 5)
        case({"name": "unet", **config}, model, (2, 3, 21, 18), loss_of=pixels)
    for decoder in ("transposed", "nearest"):
        config = {"channels": [6, 10], "decoder": decoder}
        case({"name": "encoder_decoder", **config}, twins.EncoderDecoder([6, 10], decoder), (2, 3, 21, 18), loss_of=picture)
    config = {"input": [1, 15, 17], "channels": 8, "kernel_size": 5, "primary_capsules": 3, "primary_dim": 4}
    config |= {"class_dim": 6, "decoder": [8, 12], "num_classes": 5}
    case({"name": "capsnet", **config}, twins.CapsNet(**config), (4, 1, 15, 17), loss_of=capsules)


def pyramid(inputs, model, config=None):
    """A pyramid's maps, and the gradients of the sum of their mean squares; `None` for what is frozen."""
    model = model.double().train()
    state = {n: value(k, n, tuple(t.shape)) for k, (n, t) in enumerate(model.state_dict().items())}
    model.load_state_dict(state)
    given = [number((1 << 20) + i, s) for i, s in enumerate(inputs)]
    maps = model(given[0] if config else {str(i): x for i, x in enumerate(given)})
    sum(m.square().mean() for m in maps.values()).backward()
    name = "config" if config else "out_channels"
    line = {
        name: config or 7,
        "inputs": inputs,
        "state": [" ".join([n, *map(str, t.shape)]) for n, t in state.items()],
        "names": list(maps),
        "outputs": [{"shape": list(m.shape), "some": some(m)} for m in maps.values()],
        "gradients": {n: None if p.grad is None else digest(p.grad) for n, p in model.named_parameters()},
    }
    print("pyramid", [list(m.shape) for m in maps.values()], flush=True)
    return line


def fpn():
    """A pyramid over maps of odd sizes, and backbones as torchvision's detectors have them."""
    shapes = [(2, 6, 19, 13), (2, 8, 10, 7), (2, 10, 5, 4), (2, 12, 3, 2)]
    lines = [pyramid(shapes, FeaturePyramidNetwork([s[1] for s in shapes], 7, extra_blocks=LastLevelMaxPool()))]
    one, out = [(2, 3, 75, 66)], {"out_channels": 32}
    with slim(8):
        model = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
        body = {"inplanes": 8, "norm_layer": "frozen"}
        lines.append(pyramid(one, model, {"body": body, **out}))
        net = ResNet(Bottleneck, [1, 1, 1, 1], norm_layer=FrozenBatchNorm2d)
        model = _resnet_fpn_extractor(net, 5, [2, 3, 4], LastLevelP6P7(2048, 256))
        body = body | {"block": "bottleneck", "layers": [1, 1, 1, 1]}
        further = {"returned_layers": [2, 3, 4], "trainable_layers": 5, "extra_blocks": "last_level_p6_p7_from_input"}
        lines.append(pyramid(one, model, {"body": body, **further, **out}))
        net = ResNet(BasicBlock, [1, 1, 1, 1])
        model = _resnet_fpn_extractor(net, 2, [1, 3], LastLevelP6P7(256, 256))
        body = {"inplanes": 8, "layers": [1, 1, 1, 1]}
        further = {"returned_layers": [1, 3], "trainable_layers": 2, "extra_blocks": "last_level_p6_p7"}
        lines.append(pyramid(one, model, {"body": body, **further, **out}))
    write("fpn.json", lines)


def write(name, lines):
    path = ROOT / "crates/models/tests/goldens" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    path.write_text(f"[\n{text}\n]\n")
    print(f"{name}: {len(lines)} cases, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["vision", "dense", "fpn"]
    torch.manual_seed(0)
    if "fpn" in wanted:
        fpn()
    for name, parts in (("vision", (classic, residual, others, inception)), ("dense", (dense,))):
        if name in wanted:
            CASES.clear()
            for part in parts:
                part()
            write(f"{name}.json", CASES)
