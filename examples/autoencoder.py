"""Lesson: a network that learns without labels, by drawing again what it has seen through a narrow gap.

An encoder squeezes each image of a handwritten digit, 784 gray values, into 16 numbers, the code; a decoder makes an
image of the code. The two are trained together, and what they are to make is the image that came in:

    x (784) -> encoder -> code (16) -> decoder -> image (784), which should be x

Nobody says what the 16 numbers are to mean. Whatever helps to draw all digits will be in them. Principal components do
the same with straight lines only, and are the best that straight lines can do: they are what to compare with.

In `build` the network is a graph whose loss reads its own input as the target, so `fit` is given images and no labels.

Source: Hinton, Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", 2006.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read by NumPy when it is loaded. In matrix products as small as these, several threads mostly wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from tinynn import (
    Adam,
    Affine,
    Graph,
    History,
    MeanSquaredError,
    MissingExtraError,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    TinynnError,
    datasets,
    fit,
    one_cycle,
    pictures,
)
from tinynn.pictures import figure

HIDDEN = 256
BATCH = 128
PEAK = 4e-3  # the highest learning rate


def build(code: int, backend: str = "numpy", seed: int = 1) -> Graph:
    """784 - 256 - code - 256 - 784; the loss compares the image made with the one that came in, both from 0 to 1."""
    encoder = Sequential(Affine(HIDDEN), ReLU(), Affine(code))
    decoder = Sequential(Affine(HIDDEN), ReLU(), Affine(784), Sigmoid())
    return Graph(
        x01=(Rescale(1 / 255), "x"),
        code=(encoder, "x01"),
        image=(decoder, "code"),
        loss=(MeanSquaredError(), "image", "x01"),
    ).build((784,), backend=backend, seed=seed)


def learn(net: Graph, images: np.ndarray, test: np.ndarray, epochs: int, seed: int) -> History:
    """Adam; the learning rate rises, then falls to nothing."""
    steps = epochs * -(-len(images) // BATCH)
    optimizer = Adam(one_cycle(PEAK, steps=steps))
    return fit(net, optimizer, (images,), epochs=epochs, batch_size=BATCH, validation=(test,), seed=seed)


def encode(net: Graph, images: np.ndarray) -> np.ndarray:
    """The codes: what one part of the network says, asked by itself."""
    return net.ops.to_host(net["code"].predict(net.ops.asarray(images / 255, net.dtype))).copy()


def decode(net: Graph, codes: np.ndarray) -> np.ndarray:
    """Images (N, 28, 28) from 0 to 1, made of codes (N, code)."""
    made = net["image"].predict(net.ops.asarray(codes, net.dtype))
    return net.ops.to_host(made).reshape(-1, 28, 28).copy()


def principal_components(images: np.ndarray, test: np.ndarray, code: int) -> np.ndarray:
    """The test images as the `code` principal components of the others draw them: the best that a linear map can do."""
    x, mean = images / 255, images.mean(axis=0) / 255
    _, V = np.linalg.eigh((x - mean).T @ (x - mean))  # eigenvectors in the order of their eigenvalues, the largest last
    V = V[:, -code:]
    return (test / 255 - mean) @ V @ V.T + mean


def apart(places: np.ndarray, least: float = 0.06) -> np.ndarray:
    """Places (N, 2), those that are nearer to each other than that pushed apart, so that all their labels are seen."""
    for _ in range(100):
        away = places[:, None] - places
        far = np.linalg.norm(away, axis=2, keepdims=True)
        places = places + (np.clip(least - far, 0, None) * away / np.maximum(far, 1e-9)).sum(axis=1) / 2
    return places


def draw_plane(path: Path, codes: np.ndarray, labels: np.ndarray) -> Path:
    """Every test image as a point, its code of two numbers, with the colour of its digit."""
    picture = figure.new_figure(6.4, 5.2, None)
    axes = picture.subplots()
    digits, (low, high) = np.unique(labels).tolist(), np.percentile(codes, [1, 99], axis=0)
    middles = np.array([np.median(codes[labels == digit], axis=0) for digit in digits])
    for digit, middle in zip(digits, apart((middles - low) / (high - low)), strict=True):
        shade, marker = figure.COLOURS[digit % len(figure.COLOURS)], figure.MARKERS[digit % len(figure.MARKERS)]
        axes.scatter(*codes[labels == digit].T, s=5, color=shade, marker=marker, linewidths=0)
        look: dict[str, Any] = {"boxstyle": "circle", "facecolor": "white", "edgecolor": shade, "pad": 0.2}
        place = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(*middle, str(digit), fontsize=12, bbox=look, **place)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    figure.tidy(axes, "first number of the code", "second number")
    return figure.write(picture, path)


def run(args: argparse.Namespace) -> None:
    """Trains two networks, one with a code of two numbers; measures, draws."""
    train, test = datasets.load(args.data) if args.data else datasets.mnist()
    images, unseen = (rows.reshape(len(rows), -1) for rows in (train.images[: args.limit], test.images))
    net = build(args.code, args.backend, args.seed)
    print(f"{net.summary()}\n", flush=True)
    history = learn(net, images, unseen, args.epochs, args.seed)
    if not len(history):
        sys.exit("stopped before the first epoch was over: nothing to show")

    linear = principal_components(images, unseen, args.code)
    own, theirs = history.validation_loss[-1], float(((linear - unseen / 255) ** 2).mean())
    blank = float(((images.mean(axis=0) / 255 - unseen / 255) ** 2).mean())
    print(f"\nMean squared error of a gray value, from 0 to 1, over {len(unseen):,} images that it has never seen:\n")
    print(f"  the mean image, whatever comes in  {blank:.5f}")
    print(f"  {args.code:>2} principal components            {theirs:.5f}")
    print(f"  {args.code:>2} numbers of the autoencoder      {own:.5f}")

    print("\nNow with a code of two numbers, to be drawn as points in the plane:\n", flush=True)
    plane = build(2, args.backend, args.seed)
    flat = learn(plane, images, unseen, args.epochs, args.seed)
    if args.json:
        measured = {
            "code": args.code,
            "autoencoder": own,
            "principal_components": theirs,
            "mean_image": blank,
            "plane": flat.validation_loss[-1] if len(flat) else None,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")

    one_of_each = [int(np.flatnonzero(test.labels == digit)[0]) for digit in np.unique(test.labels)]
    seen = test.images[one_of_each] / 255
    drawn = decode(net, encode(net, unseen[one_of_each]))
    straight = linear[one_of_each].reshape(-1, 28, 28).clip(0, 1)
    first, last = encode(net, unseen[one_of_each[::9][:2]])[[0, -1]]
    walk = decode(net, np.linspace(first, last, 10))
    try:
        rows, columns = np.concatenate([seen, straight, drawn]), len(seen)
        titles = ["seen"] * columns + ["linear"] * columns + ["drawn"] * columns
        print(f"\nSeen, and drawn again from {args.code} numbers by principal components and by the network:")
        print(pictures.digits(rows, args.out / "drawn_again.png", titles, columns=columns))
        print("\nOn the straight line from the code of one digit to that of another:")
        print(pictures.digits(walk, args.out / "walk.png"))
        print("\nThe codes of two numbers; the network was never told which digit is which:")
        print(draw_plane(args.out / "plane.png", encode(plane, unseen), test.labels))
    except MissingExtraError as error:  # the lesson needs matplotlib for nothing else
        print(f"No pictures: {error}")


def count(text: str) -> int:
    """A number of things, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Takes the options from the command line; what is wrong with them or with the data becomes one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--code", type=count, default=16, help="numbers in the code (default 16)")
    add("--epochs", type=count, default=10, help="how often each network sees every image (default 10)")
    add("--limit", type=count, default=60_000, metavar="N", help="learn from the first N images only")
    add("--data", type=Path, metavar="DIR", help="a folder of IDX files, or of train/ and test/ with text digits")
    add("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="llvm: compiled; cupy: on a GPU")
    add("--seed", type=int, default=1, help="first weights and order of the images follow from it (default 1)")
    add("--out", type=Path, default=Path("out", "autoencoder"), metavar="DIR", help="folder of the pictures")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    try:
        run(parser.parse_args(argv))
    except TinynnError as error:
        sys.exit("error: " + "; ".join(" ".join(line.split()) for line in str(error).splitlines()))


if __name__ == "__main__":
    main()
