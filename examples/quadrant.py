"""Lesson: a network learns the four quadrants of the plane from four points.

A point (x1, x2) lies in quadrant 1 (x1 > 0, x2 > 0), 2, 3 or 4, counted against the clock. Nobody tells the network.
It is shown one point of each quadrant, and 10,000 times it takes a small step towards the right answers:

    x (2 numbers) -> Affine -> 50 numbers -> ReLU -> Affine -> 4 scores -> softmax -> 4 probabilities -> cross-entropy

Training is three calls, written out in `train` below: forward, backward, step. Everything else here is for looking.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynn import SGD, Affine, MissingExtraError, ReLU, Sequential, SoftmaxCrossEntropy
from tinynn.pictures import regions

STEPS = 10_000
SHOWN = (1, 2, 10, 100, 1000, 5000, 10_000)  # the steps whose loss is printed
EXTENT = (-3.0, 3.0, -3.0, 3.0)  # the part of the plane that is looked at: x1 from, to, x2 from, to

# One point of each quadrant. Labels count from 0: label 0 is quadrant 1.
X = np.array([(2, 1), (-1, 1), (-1, -1), (1, -1)], dtype=np.float64)
T = np.array([0, 1, 2, 3])
NEW_POINTS = np.array([(2, 2), (-2, 2), (-2, -2), (2, -2)], dtype=np.float64)


def make_network(seed: int = 1, backend: str = "numpy") -> Sequential:
    """2-50-4, in float64. Where weights come from is free: here they are arrays, drawn by NumPy."""
    random = np.random.RandomState(seed)  # the older generator, whose sequence is fixed for ever
    W1 = random.randn(2, 50)
    W2 = random.randn(50, 4)
    net = Sequential(Affine(50, W=W1), ReLU(), Affine(4, W=W2), SoftmaxCrossEntropy())
    return net.build((2,), backend=backend, dtype="float64")


def train(net: Sequential, steps: int = STEPS, lr: float = 0.001, l2: float = 0.001) -> list[float]:
    """Gradient descent on all four points at once; returns the cross-entropy before each step."""
    optimizer = SGD(lr, l2=l2)
    losses = []
    for _ in range(steps):
        loss, cache = net.forward(X, T)  # how wrong is the network now?
        net.backward(1.0, cache)  # in which direction should each weight go?
        optimizer.step(net)  # go there, a little
        losses.append(loss)
    return net.ops.to_host(net.xp.stack(losses)).tolist()


def share_right(net: Sequential) -> float:
    """The share of a fine grid over EXTENT whose quadrant the network gets right; the axes belong to no quadrant."""
    ticks = np.linspace(EXTENT[0], EXTENT[1], 200)  # an even number of ticks, so that none of them is 0
    x1, x2 = (grid.ravel() for grid in np.meshgrid(ticks, ticks))
    right = np.where(x2 > 0, np.where(x1 > 0, 0, 1), np.where(x1 > 0, 3, 2))
    p = net.ops.to_host(net.predict(np.stack([x1, x2], axis=1)))
    return float((p.argmax(axis=1) == right).mean())


def print_losses(losses: list[float]) -> None:
    """The loss at a few steps: it falls fast, then ever more slowly."""
    print("  step   cross-entropy before it")
    for step in SHOWN:
        print(f"{step:>6}   {losses[step - 1]:.15f}")
    quarter = math.log(4)
    print(f"\nTo give each quadrant the probability 1/4 would cost ln 4 = {quarter:.2f}. The network begins far above")
    print("that: its first weights are large and random, so it is sure of its answers, and those are wrong.")


def print_predictions(points: np.ndarray, p: np.ndarray) -> None:
    """Each point with the probabilities of the four quadrants, and the answer: the largest."""
    print("     point      P(1)    P(2)    P(3)    P(4)   answer")
    for point, row in zip(points, p, strict=True):
        place = f"({point[0]:g}, {point[1]:g})"
        print(f"{place:>10}  {'  '.join(f'{value:.4f}' for value in row)}   quadrant {row.argmax() + 1}")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, prints, and draws."""
    parser = argparse.ArgumentParser(description="A network learns the four quadrants of the plane from four points.")
    parser.add_argument(
        "--out", type=Path, default=Path("out", "quadrant"), metavar="DIR", help="folder of the picture"
    )
    parser.add_argument("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="cupy: on a GPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    args = parser.parse_args(argv)

    net = make_network(backend=args.backend)
    untrained = share_right(net)
    print(f"The network:\n\n{net.summary()}\n\nIt learns from four points:\n")
    losses = train(net)
    print_losses(losses)

    p = net.ops.to_host(net.predict(NEW_POINTS))
    print("\nFour points that it has never seen:\n")
    print_predictions(NEW_POINTS, p)

    right = share_right(net)
    print(f"\nOf all points between -3 and 3 it puts {right:.1%} into the right quadrant; untrained, {untrained:.1%}.")
    print("Four examples say no more about where the borders are. The picture shows how it fills the gaps between")
    print("them, and that on the right, far from every example, it sees a wedge of quadrants 2 and 3.")

    if args.json:
        measured = {
            "losses": {str(step): losses[step - 1] for step in SHOWN},
            "points": NEW_POINTS.tolist(),
            "probabilities": p.tolist(),
            "quadrants": (p.argmax(axis=1) + 1).tolist(),
            "share_right_untrained": untrained,
            "share_right": right,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")
    try:
        names = [f"quadrant {label + 1}" for label in T]
        print(f"\nThe picture: {regions(net, args.out / 'regions.png', X, T, extent=EXTENT, names=names)}")
    except MissingExtraError as error:  # the lesson needs matplotlib for nothing else
        print(f"\nNo picture: {error}")


if __name__ == "__main__":
    main()
