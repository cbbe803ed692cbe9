"""Lesson: why a deep network does not learn, and how a shorter way for the gradient helps.

Two networks read handwritten digits. Both have 30 layers of 32 sigmoids, one behind the other. Going back through a
sigmoid, a gradient is multiplied by its slope, which is 1/4 at most: after 30 of them nothing is left of it, and the
first layers never learn (Nielsen, "Neural Networks and Deep Learning", chapter 5). The second network adds to what each
layer puts out what it was given (He and others, "Deep Residual Learning for Image Recognition", 2016):

    plain      h1 = f1(h0)         h2 = f2(h1)         ...
    residual   h1 = h0 + f1(h0)    h2 = h1 + f2(h1)    ...

A sum hands its gradient on to both its parts as it is, so there is a way back on which nothing is multiplied.

Such networks are graphs: in `build` each layer has a name, and names what it reads. Everything else is for looking.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import (
    SGD,
    Add,
    Affine,
    Graph,
    History,
    MissingExtraError,
    Rescale,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    TinynnError,
    datasets,
    fit,
    init,
)
from tinynn.pictures import figure

WIDTH = 32
LR = 0.02


def build(depth: int, residual: bool, seed: int = 1, backend: str = "numpy") -> Graph:
    """28 x 28 gray values -> `depth` layers of 32 sigmoids -> 10 scores; a node reads an input or nodes above it."""
    nodes: dict[str, Any] = {"scaled": (Rescale(1 / 255), "x"), "h0": (Affine(WIDTH), "scaled")}
    for i in range(1, depth + 1):
        f = Sequential(Affine(WIDTH, W=init.lecun), Sigmoid())
        if residual:
            nodes[f"f{i}"] = (f, f"h{i - 1}")
            nodes[f"h{i}"] = (Add(), f"h{i - 1}", f"f{i}")
        else:
            nodes[f"h{i}"] = (f, f"h{i - 1}")
    nodes["scores"] = (Affine(10), f"h{depth}")
    nodes["loss"] = (SoftmaxCrossEntropy(), "scores", "digit")
    return Graph(**nodes).build((28, 28), backend=backend, seed=seed)


def gradient_sizes(net: Graph, images: np.ndarray, labels: np.ndarray) -> list[float]:
    """The length of the gradient of each sigmoid layer's weights, from the first layer to the last."""
    _, cache = net.forward(images, labels)
    net.backward(1.0, cache)
    gradients = net.storage.gradients.items()
    return [float(np.linalg.norm(net.ops.to_host(dW))) for name, dW in gradients if name.endswith(".0.W")]


def draw(path: Path, sizes: dict[str, list[float]], histories: dict[str, History]) -> Path:
    """Two panels: the gradient in each layer before training, and how training went."""
    picture = figure.new_figure(9.2, 3.8, None)
    left, right = picture.subplots(1, 2)
    for colour, name in zip((figure.VERMILION, figure.BLUE), sizes, strict=True):
        layers = range(1, len(sizes[name]) + 1)
        left.semilogy(layers, np.maximum(sizes[name], 1e-30), color=colour, marker="o", markersize=3, label=name)
        accuracy = [100 * share for share in histories[name].validation_accuracy]
        right.plot(range(1, len(accuracy) + 1), accuracy, color=colour, marker="o", markersize=4, label=name)
    figure.tidy(left, "layer", "length of its gradient, before training")
    figure.tidy(right, "epoch", "test accuracy in %")
    right.set_ylim(0, 100)
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False)
    return figure.write(picture, path)


def run(args: argparse.Namespace) -> None:
    """Builds both, looks at their gradients, trains both, and compares."""
    print("The residual network, were it two layers deep:\n")
    print(build(2, residual=True).summary())
    train, test = datasets.load(args.data) if args.data else datasets.mnist()
    images, labels = train.images[: args.limit], train.labels[: args.limit]

    sizes, histories = {}, {}
    for name in ("plain", "residual"):
        net = build(args.depth, name == "residual", args.seed, args.backend)
        sizes[name] = gradient_sizes(net, images[:256], labels[:256])
        histories[name] = fit(
            net, SGD(LR), (images, labels), epochs=args.epochs, validation=test, seed=args.seed, progress=False
        )
        if histories[name].stopped == "interrupted":
            sys.exit("stopped before both had learned: nothing to compare")
    print(f"\nIn earnest, {args.depth} layers deep: the length of the gradient before training in the first and in the")
    print(f"last of them, and the share of test images read right after {args.epochs} epochs.\n")
    print(f"{'':10}{'first layer':>16}{'last layer':>16}{'test accuracy':>16}")
    for name, history in histories.items():
        right = history.validation_accuracy[-1]
        print(f"{name:<10}{sizes[name][0]:>16.1e}{sizes[name][-1]:>16.1e}{right:>16.1%}")
    print("\nTo guess is right in one case of ten. The two differ in nothing but the additions.")

    if args.json:
        measured = {
            "depth": args.depth,
            "gradients": sizes,
            "accuracy": {name: history.validation_accuracy for name, history in histories.items()},
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")
    build(2, residual=True).plot(args.out / "wiring.mmd")
    print(f"\nThe wiring of two layers, as Mermaid text: {args.out / 'wiring.mmd'}")
    try:
        print(f"The picture: {draw(args.out / 'residual.png', sizes, histories)}")
    except MissingExtraError as error:  # the lesson needs matplotlib for nothing else
        print(f"No picture: {error}")


def count(text: str) -> int:
    """A number of things, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Takes the options from the command line; what is wrong with them or with the data becomes one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--depth", type=count, default=30, help="layers of sigmoids (default 30)")
    add("--epochs", type=count, default=5, help="how often each network sees every image (default 5)")
    add("--limit", type=count, default=10_000, metavar="N", help="learn from the first N images (default 10,000)")
    add("--data", type=Path, metavar="DIR", help="a folder of IDX files, or of train/ and test/ with text digits")
    add("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="llvm: compiled; cupy: on a GPU")
    add("--seed", type=int, default=1, help="first weights and order of the images follow from it (default 1)")
    add("--out", type=Path, default=Path("out", "residual"), metavar="DIR", help="folder of the picture")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    try:
        run(parser.parse_args(argv))
    except TinynnError as error:
        sys.exit("error: " + "; ".join(" ".join(line.split()) for line in str(error).splitlines()))


if __name__ == "__main__":
    main()
