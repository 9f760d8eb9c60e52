"""Goldens of pictures and their transforms: what Pillow and torchvision make of one small picture.

Run: python scripts/goldens/data.py
Writes crates/data/tests/goldens/: picture.png and picture.jpg, the cases, and cases.npz with their bytes.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode as Mode
from torchvision.transforms import functional as F

OUT = Path(__file__).resolve().parents[2] / "crates/data/tests/goldens"


def picture(height, width):
    """Smooth waves, a sharp disc, stripes and noise, in three channels."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    rng = np.random.default_rng(5)
    red = 127 + 120 * np.sin(x / 5) * np.cos(y / 7)
    green = np.where((x - 8) ** 2 + (y - 10) ** 2 < 30, 230, 40) + rng.integers(-20, 21, (height, width))
    blue = np.where((x + y) % 6 < 3, 200, 30) * (y / height)
    return Image.fromarray(np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    image = picture(19, 26)
    image.save(OUT / "picture.png", optimize=True)
    image.save(OUT / "picture.jpg", quality=85)
    cases = []

    def add(kind, result, **arguments):
        array = np.asarray(result)
        cases.append(dict(kind=kind, arguments=arguments, shape=list(array.shape), array=array))

    add("jpeg", Image.open(OUT / "picture.jpg").convert("RGB"))
    for size in [(8, 8), (10, 14), (30, 40), (3, 50), (19, 13)]:
        for name, mode in [("bilinear", Mode.BILINEAR), ("bicubic", Mode.BICUBIC), ("nearest", Mode.NEAREST)]:
            add("resize", F.resize(image, list(size), mode, antialias=True), size=size, mode=name)
    for size in [12, 31]:
        add("shorter", F.resize(image, size, antialias=True), size=size)
    for size in [(8, 8), (16, 11), (22, 22), (18, 27), (30, 25)]:
        add("center", F.center_crop(image, list(size)), size=size)
    add("five", np.stack([np.asarray(c) for c in F.five_crop(image, [10, 17])]), size=[10, 17])
    for mode in ["constant", "edge", "reflect"]:
        add("pad", F.pad(image, [3, 5, 7, 2], fill=9, padding_mode=mode), mode=mode)
    for name, mode in [("nearest", Mode.NEAREST), ("bilinear", Mode.BILINEAR)]:
        for angle in [17.5, -100, 90]:
            add("rotate", F.rotate(image, angle, mode, fill=[7] * 3), angle=angle, mode=name, expand=False)
        add("rotate", F.rotate(image, 33, mode, expand=True, fill=[7] * 3), angle=33, mode=name, expand=True)
        for angle, translate, scale, shear in [
            (0, (4, -3), 1.0, (0, 0)),
            (25, (0, 0), 1.3, (0, 0)),
            (-40, (2, 5), 0.8, (12, -7)),
        ]:
            out = F.affine(image, angle, list(translate), scale, list(shear), mode, fill=[7] * 3)
            add("affine", out, angle=angle, translate=translate, scale=scale, shear=shear, mode=name)
    add("grey", F.rgb_to_grayscale(image, 3))
    for change, function, values in [
        ("brightness", F.adjust_brightness, [0.3, 1.7]),
        ("contrast", F.adjust_contrast, [0.0, 0.5, 1.8]),
        ("saturation", F.adjust_saturation, [0.0, 0.4, 2.2]),
        ("hue", F.adjust_hue, [-0.4, -0.1, 0.25]),
    ]:
        for value in values:
            add(change, function(image, value), value=value)
    for kernel, sigma in [(3, 0.5), (7, 1.8)]:
        add("blur", F.gaussian_blur(image, kernel, sigma), kernel=kernel, sigma=sigma)
    packed = np.concatenate([c["array"].reshape(-1) for c in cases])
    np.savez_compressed(OUT / "cases.npz", v=packed.astype(np.uint8))
    for c in cases:
        del c["array"]
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
