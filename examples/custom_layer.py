"""Lesson: a layer of your own, ten statements long, checked, and put to work.

`Bumps` says how near a point is to each of K places, and learns where the places should be:

    y_k = exp(-|x - c_k|^2 / 2)        1 at the place c_k itself, 0.61 at a distance of 1, 0.01 at a distance of 3

A layer has `build` (what does it learn, and what is the shape of its output?), `forward` (the formula; it returns the
output, and a cache of what `backward` will need), and `backward` (the derivative: from dy it makes dc and dx).
With these it trains, saves and runs like the library's own. A mistake in `backward` raises no error, it only makes the
network learn badly; so `gradcheck` compares it with what `forward` does when a number is moved a little.

The problem is a spiral of three arms, for which straight borders are hopeless.

Sources: Broomhead, Lowe, "Multivariable Functional Interpolation and Adaptive Networks", 1988; CS231n for the spiral.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import SGD, Affine, GradientError, Layer, MissingExtraError, Sequential, SoftmaxCrossEntropy, fit, gradcheck
from tinynn.init import standard_normal
from tinynn.pictures import regions

ARMS, PLACES = 3, 20


class Bumps(Layer):
    """y_k = exp(-|x - c_k|^2 / 2).

    Shapes:   x (N, D), c (K, D), y (N, K).
    Backward: with s_nk = dy_nk y_nk (x_n - c_k): dc_k = sum over n of s_nk, dx_n = -(sum over k of s_nk).
    """

    def __init__(self, K: int) -> None:
        self.K = K

    def build(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        self.param("c", (self.K, *shape), standard_normal, decay=False)  # L2 would pull the places to the origin
        return (self.K,)

    def forward(self, x: Any) -> tuple[Any, Any]:
        offset = x[:, None] - self.c  # (N, K, D)
        y = self.xp.exp(-0.5 * (offset**2).sum(axis=2))
        return y, (y, offset)

    def backward(self, dy: Any, cache: Any) -> Any:
        y, offset = cache
        s = (dy * y)[:, :, None] * offset
        self.dc[...] = s.sum(axis=0)
        return -s.sum(axis=1)


class Slip(Layer):
    """The same with a slip in `backward`: one sign is wrong."""

    def __init__(self, K: int) -> None:
        self.K = K

    build, forward = Bumps.build, Bumps.forward

    def backward(self, dy: Any, cache: Any) -> Any:
        y, offset = cache
        s = (dy * y)[:, :, None] * offset
        self.dc[...] = -s.sum(axis=0)
        return -s.sum(axis=1)


def spiral(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """N points on each arm, up to 4 from the centre and strewn a little: x (3 N, 2), labels (3 N,)."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(ARMS), n)
    radius = rng.uniform(0, 4, ARMS * n)
    angle = radius + 2 * np.pi * labels / ARMS + rng.normal(0, 0.2, ARMS * n)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), labels


def trained(*layers: Layer, backend: str = "numpy") -> Sequential:
    """These layers, an Affine layer for the scores and the loss, trained on the spiral."""
    net = Sequential(*layers, Affine(ARMS), SoftmaxCrossEntropy()).build((2,), backend=backend, seed=0)
    fit(net, SGD(lr=0.5), spiral(200, seed=0), epochs=50, batch_size=20, progress=False)
    return net


def verdict(layer: Layer, backend: str = "numpy") -> str:
    """What gradcheck says about a layer with two inputs; nothing if there is nothing to say."""
    try:
        gradcheck(layer, (2,), backend=backend)
    except GradientError as error:
        return str(error)
    return ""


def main(argv: Sequence[str] | None = None) -> None:
    """Checks both layers, trains with them and without, and draws."""
    parser = argparse.ArgumentParser(description="A layer of your own: written, gradient-checked, trained.")
    parser.add_argument(
        "--out", type=Path, default=Path("out", "custom_layer"), metavar="DIR", help="folder of the picture"
    )
    parser.add_argument("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="cupy: on a GPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    args = parser.parse_args(argv)

    verdicts = {layer.__name__: verdict(layer(PLACES), args.backend) for layer in (Bumps, Slip)}
    print("1. gradcheck on Bumps, and on Slip, whose backward has a wrong sign:\n")
    for name, said in verdicts.items():
        print(f"   {name}:\n{textwrap.indent(said or 'every gradient is right', '      ')}\n")

    net = trained(Bumps(PLACES), backend=args.backend)
    test = spiral(200, seed=1)  # other points than those of the training
    without, wrong = trained(backend=args.backend), trained(Slip(PLACES), backend=args.backend)
    networks = {"without": without, "with Bumps": net, "with Slip": wrong}
    accuracy = {name: network.evaluate(*test).accuracy for name, network in networks.items()}
    print(f"2. Training on a spiral. The network:\n\n{textwrap.indent(net.summary(), '   ')}\n")
    print(f"   Right on {len(test[1])} new points:\n")
    for name, share in accuracy.items():
        print(f"   {name:<12}{share:>6.1%}")
    print("\n   The slip raised no error in training: without gradcheck, Bumps would have passed for a poor idea.")

    if args.json:
        measured = {"gradcheck": verdicts, "accuracy": accuracy, "places": net.storage.arrays()["0.c"].tolist()}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")
    try:
        names = [f"arm {label + 1}" for label in range(ARMS)]
        print(f"\nThe picture: {regions(net, args.out / 'regions.png', *test, names=names)}")
    except MissingExtraError as error:  # the lesson needs matplotlib for nothing else
        print(f"\nNo picture: {error}")


if __name__ == "__main__":
    main()
