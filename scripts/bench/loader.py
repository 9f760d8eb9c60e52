"""How fast torchvision's DataLoader goes through a directory of pictures; the twin of
`cargo run --release -p gradus-data --example loader_speed -- DIR`.

Run: python scripts/bench/loader.py DIR [WORKERS] [EPOCHS]
"""

import sys
import time

import torch
from torchvision import datasets, transforms as T


def main():
    workers, epochs = (int(v) for v in (sys.argv[2:4] + ["2", "5"][len(sys.argv) - 2 :]))
    steps = T.Compose(
        [
            T.RandomCrop(32, padding=4),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
        ]
    )
    folder = datasets.ImageFolder(sys.argv[1], steps)
    loader = torch.utils.data.DataLoader(
        folder, 64, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    for epoch in range(epochs):
        start = time.perf_counter()
        total = sum(float(x[0, 0, 0, 0]) for x, _ in loader)
        seconds = time.perf_counter() - start
        rate = len(folder) / seconds
        print(f"epoch {epoch}: {seconds:.3f} s, {rate:.0f} pictures/s (first pixels sum to {total:.3f})")


main()
