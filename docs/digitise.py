"""Measures the table in docs/digitise.md: how a network reads test digits that are moved and scaled, once digitised.

python docs/digitise.py --model out/mnist/model.npz, which `make mnist` has written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

import tinynn
from tinynn import TinynnError, datasets
from tinynn.app.digitise import digitise

__all__ = ["main", "measure", "moved"]

FRAME = 60
PIXELS, SIZES = 4, (0.5, 1.5)


def moved(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image scaled by 50 to 150 % and moved by up to 4 pixels each way, on a ground of 60 x 60."""
    side = round(len(image) * rng.uniform(*SIZES))
    frame = np.zeros((FRAME, FRAME), np.uint8)
    y, x = (FRAME - side) // 2 + rng.integers(-PIXELS, PIXELS + 1, 2)
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    frame[y : y + side, x : x + side] = np.asarray(small)
    return frame


def measure(net: Any, images: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, float]:
    """The share of digits that the network reads: as they are, digitised, moved and digitised."""
    rng = np.random.default_rng(seed)
    sets = {
        "as they are": images,
        "digitised": np.stack([digitise(image) for image in images]),
        "moved and scaled, digitised": np.stack([digitise(moved(image, rng)) for image in images]),
    }
    return {name: float((net.predict(some).argmax(axis=1) == labels).mean()) for name, some in sets.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each set of digits."""
    parser = argparse.ArgumentParser(description="How a network reads test digits that are moved and scaled.")
    parser.add_argument("--model", default="out/mnist/model.npz", help="default: out/mnist/model.npz, by make mnist")
    parser.add_argument("--rows", type=int, default=10_000, help="so many of the test digits (default: all)")
    options = parser.parse_args(arguments)
    try:
        net, test = tinynn.load(options.model), datasets.mnist().test
        for name, share in measure(net, test.images[: options.rows], test.labels[: options.rows]).items():
            print(f"{name:<28} {share:.2%}")
    except TinynnError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
