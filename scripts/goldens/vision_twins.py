"""The nets for pixels, and CapsNet, written out in torch: what scripts/goldens/vision.py compares Gradus' with.

torchvision has none of them in the papers' form. Each follows its paper with the choices that Gradus documents, from
torch's own layers only.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Fcn(nn.Module):
    """FCN-32s, 16s, 8s (arXiv:1411.4038): VGG whose linear layers are convolutions, pools that round up."""

    def __init__(self, stride, stages, hidden, num_classes):
        super().__init__()
        layers, self.pools, before = [], [], 3
        for stage in stages:
            for width in stage:
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            self.pools.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.fc6 = nn.Conv2d(before, hidden, 7, padding=3)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.score_fr = nn.Conv2d(hidden, num_classes, 1)
        up = lambda by: nn.ConvTranspose2d(num_classes, num_classes, 2 * by, by, padding=by // 2, bias=False)
        if stride <= 16:
            self.score_pool4 = nn.Conv2d(stages[3][-1], num_classes, 1)
            self.upscore2 = up(2)
        if stride == 8:
            self.score_pool3 = nn.Conv2d(stages[2][-1], num_classes, 1)
            self.upscore_pool4 = up(2)
        self.upscore = up(stride)
        self.stride = stride

    def forward(self, x):
        rows, columns = x.shape[2:]
        kept = {}
        for i, layer in enumerate(self.features):
            x = layer(x)
            kept[i] = x
        scores = self.score_fr(self.fc7(self.fc6(x).relu()).relu())
        if self.stride <= 16:
            finer = self.score_pool4(kept[self.pools[3]])
            scores = self.upscore2(scores)[:, :, : finer.shape[2], : finer.shape[3]] + finer
        if self.stride == 8:
            finer = self.score_pool3(kept[self.pools[2]])
            scores = self.upscore_pool4(scores)[:, :, : finer.shape[2], : finer.shape[3]] + finer
        return self.upscore(scores)[:, :, :rows, :columns]


class SegNet(nn.Module):
    """SegNet (arXiv:1511.00561): the decoder mirrors the encoder, its last convolution gives the scores."""

    def __init__(self, stages, num_classes):
        super().__init__()
        unit = lambda i, o: [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU()]
        self.encoder, self.decoder, before = nn.ModuleList(), nn.ModuleList(), 3
        for stage in stages:
            widths = [before, *stage]
            self.encoder.append(nn.Sequential(*(m for a, b in zip(widths, stage) for m in unit(a, b))))
            before = stage[-1]
        for i in reversed(range(len(stages))):
            down = [stages[i - 1][-1] if i else num_classes, *stages[i]]
            back = list(reversed(down))
            layers = [m for a, b in zip(back, back[1:]) for m in unit(a, b)]
            self.decoder.append(nn.Sequential(*(layers if i else layers[:-2])))

    def forward(self, x):
        places = []
        for stage in self.encoder:
            full = stage(x)
            x, indices = F.max_pool2d(full, 2, return_indices=True)
            places.append((indices, full.shape[2:]))
        for stage in self.decoder:
            indices, size = places.pop()
            x = stage(F.max_unpool2d(x, indices, 2, output_size=size))
        return x


def doubling(decoder, before, after):
    if decoder == "transposed":
        return nn.Sequential(nn.ConvTranspose2d(before, after, 2, 2))
    return nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), nn.Conv2d(before, after, 3, padding=1))


class UNet(nn.Module):
    """U-Net (arXiv:1505.04597) with padded convolutions; a map of odd size repeats its last row and column."""

    def __init__(self, channels, batch_norm, decoder, num_classes):
        super().__init__()

        def double(before, after):
            layers = []
            for width in (before, after):
                layers.append(nn.Conv2d(width, after, 3, padding=1, bias=not batch_norm))
                layers += [nn.BatchNorm2d(after)] if batch_norm else []
                layers.append(nn.ReLU())
            return nn.Sequential(*layers)

        self.down = nn.ModuleList(double(a, b) for a, b in zip([3, *channels], channels))
        pairs = list(zip(channels, channels[1:]))[::-1]
        self.up = nn.ModuleList(doubling(decoder, coarse, fine) for fine, coarse in pairs)
        self.merge = nn.ModuleList(double(2 * fine, fine) for fine, _ in pairs)
        self.head = nn.Conv2d(channels[0], num_classes, 1)

    def forward(self, x):
        maps = []
        for i, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if i else x)
            maps.append(x)
        maps.pop()
        for up, merge in zip(self.up, self.merge):
            fine, coarse = maps.pop(), up(x)
            missing = [fine.shape[3] - coarse.shape[3], fine.shape[2] - coarse.shape[2]]
            coarse = F.pad(coarse, (0, missing[0], 0, missing[1]), mode="replicate")
            x = merge(torch.cat([fine, coarse], 1))
        return self.head(x)


class EncoderDecoder(nn.Module):
    """Convolutions of stride 2 down to a small representation, and back to the picture."""

    def __init__(self, channels, decoder):
        super().__init__()
        steps = zip([3, *channels], channels)
        self.encoder = nn.Sequential(*(m for a, b in steps for m in (nn.Conv2d(a, b, 3, 2, padding=1), nn.ReLU())))
        back = [*channels[::-1], 3]
        layers = [m for a, b in zip(back, back[1:]) for m in (doubling(decoder, a, b), nn.ReLU())]
        self.decoder = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.decoder(self.encoder(x))[:, :, : x.shape[2], : x.shape[3]]


class CapsNet(nn.Module):
    """CapsNet (arXiv:1710.09829), three rounds of routing; in training also the reconstruction from the vector of its class."""

    def __init__(self, input, channels, kernel_size, primary_capsules, primary_dim, class_dim, decoder, num_classes):
        super().__init__()
        self.shape, self.dim, self.kinds = input, primary_dim, primary_capsules
        self.conv1 = nn.Conv2d(input[0], channels, kernel_size)
        self.primary_capsules = nn.Module()
        self.primary_capsules.conv = nn.Conv2d(channels, primary_capsules * primary_dim, kernel_size, stride=2)
        rows, columns = (-(-(n - 2 * (kernel_size - 1)) // 2) for n in input[1:])
        count = primary_capsules * rows * columns
        self.class_capsules = nn.Module()
        self.class_capsules.weight = nn.Parameter(torch.randn(num_classes, count, class_dim, primary_dim))
        pixels = input[0] * input[1] * input[2]
        self.decoder = nn.Sequential(
            nn.Linear(num_classes * class_dim, decoder[0]), nn.ReLU(), nn.Linear(*decoder), nn.ReLU(),
            nn.Linear(decoder[1], pixels), nn.Sigmoid(),
        )

    @staticmethod
    def squash(s):
        square = s.square().sum(-1, keepdim=True)
        return square / (1 + square) * s / square.sqrt()

    def forward(self, x):
        maps = self.primary_capsules.conv(self.conv1(x).relu())
        vectors = maps.unflatten(1, (self.kinds, self.dim)).flatten(3).permute(0, 1, 3, 2)
        vectors = self.squash(vectors.flatten(1, 2))
        votes = torch.einsum("jiod,nid->njio", self.class_capsules.weight, vectors)
        logits = torch.zeros(votes.shape[:3], dtype=x.dtype)
        for turn in range(3):
            poses = self.squash((logits.softmax(1).unsqueeze(-1) * votes).sum(2))
            if turn < 2:
                logits = logits + (votes * poses.unsqueeze(2)).sum(-1)
        lengths = poses.norm(dim=-1)
        if not self.training:
            return lengths
        chosen = F.one_hot(torch.arange(x.shape[0]) % poses.shape[1], poses.shape[1]).unsqueeze(-1)
        return lengths, self.decoder((poses * chosen).flatten(1)).reshape(x.shape)
