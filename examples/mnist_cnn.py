"""A convolutional network reads handwritten digits better than one that takes an image as a row of numbers.

A convolution looks at every place of the image with the same small filters, so that what it learns of a stroke in one
place it knows everywhere; pooling keeps the strongest answer of each neighbourhood:

    image, 28 x 28 -> 32 filters of 5 x 5 -> ReLU -> the larger of each 2 x 2 -> 64 filters of 5 x 5 -> ReLU
    -> the larger of each 2 x 2 -> Affine -> 256 numbers -> ReLU -> 10 scores -> softmax cross-entropy

Each epoch sees every image moved by up to two pixels, another way each time: 60,000 images are then never the same ones
twice. Compare examples/mnist.py, which reaches 98.4 %.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Read by NumPy when it is loaded. The matrix products of a convolution are large enough for two threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import numpy as np

from tinynn import (
    Adam,
    Affine,
    Conv2D,
    History,
    MaxPool2D,
    MissingExtraError,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    SoftmaxCrossEntropy,
    TinynnError,
    cosine,
    datasets,
    fit,
    pictures,
)
from tinynn.random import generator

REACH = 2  # how far an image is moved at most, in pixels


def build(shape: tuple[int, ...], backend: str, seed: int) -> Sequential:
    """The network of the lesson."""
    return Sequential(
        Rescale(1 / 255),
        Reshape((1, *shape)),
        Conv2D(32, 5),
        ReLU(),
        MaxPool2D(2),
        Conv2D(64, 5),
        ReLU(),
        MaxPool2D(2),
        Affine(256),
        ReLU(),
        Affine(10),
        SoftmaxCrossEntropy(),
    ).build(shape, backend=backend, seed=seed)


def moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every image moved by up to REACH pixels down or up and left or right; what comes in at the edge is 0."""
    n, h, w = images.shape
    room = np.pad(images, ((0, 0), (REACH, REACH), (REACH, REACH)))
    down, across = rng.integers(0, 2 * REACH + 1, (2, n, 1, 1))
    return room[np.arange(n)[:, None, None], down + np.arange(h)[:, None], across + np.arange(w)]


def learn(
    net: Sequential, train: datasets.Split, test: datasets.Split, epochs: int, batch: int, lr: float, seed: int
) -> History:
    """Adam, with a learning rate that falls to 0 as a cosine does. The test images are only looked at."""
    steps = -(-len(train.images) // batch)
    optimizer, history = Adam(cosine(lr, epochs * steps)), History()
    for epoch in range(epochs):
        images = moved(train.images, generator(seed, "moved", epoch))
        data = images, train.labels
        more = fit(net, optimizer, data, epochs=1, batch_size=batch, validation=test, seed=seed + epoch, progress=False)
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"):
            getattr(history, name).extend(getattr(more, name))
        history.stopped = more.stopped
        if history.stopped == "interrupted":
            break
        print(history.line(epochs), file=sys.stderr, flush=True)
    return history


def run(args: argparse.Namespace) -> None:
    """Reads the images, builds, learns, shows, saves."""
    started = time.perf_counter()
    train, test = datasets.load(args.data) if args.data else datasets.mnist()
    train = datasets.Split(train.images[: args.limit], train.labels[: args.limit])
    net = build(train.images.shape[1:], args.backend, args.seed)
    print(
        f"{len(train.images):,} images to learn from, {len(test.images):,} to test with\n\n{net.summary()}\n",
        flush=True,
    )

    history = learn(net, train, test, args.epochs, args.batch, args.lr, args.seed)
    if not len(history):
        sys.exit("stopped before the first epoch was over: nothing to show")
    right, seconds = history.validation_accuracy[-1], sum(history.seconds)
    print(f"\ntest accuracy {right:.2%} after {len(history)} epochs, {seconds:.1f} s of learning")
    read = net.ops.to_host(net.predict(test.images)).argmax(axis=1)
    misread = int((read != test.labels).sum())
    print(f"{misread:,} test images are misread\n")

    net.save(args.out / "model.npz")
    print(f"{args.out / 'model.npz'}: the network")
    try:
        title = f"convolutions: test accuracy {right:.2%}"
        print(pictures.learning_curve(history, args.out / "learning_curve.png", title=title, validation="test"))
        print(pictures.misclassified(net, test.images, test.labels, args.out / "misclassified.png"))
    except MissingExtraError as error:  # nothing else here needs matplotlib
        print(f"No pictures: {error}")
    if args.json:
        measured = {
            "backend": args.backend,
            "seed": args.seed,
            "settings": {"epochs": args.epochs, "batch": args.batch, "lr": args.lr, "rows": len(train.images)},
            "test_accuracy": right,
            "misread": misread,
            "history": history.as_dict(),
            "seconds": time.perf_counter() - started,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")


def count(text: str) -> int:
    """A number of things, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Takes the options from the command line; what is wrong with them or with the data becomes one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="a folder of IDX files, or of train/ and test/ with text digits")
    add("--out", type=Path, default=Path("out", "mnist_cnn"), metavar="DIR", help="folder of model and pictures")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    add("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="llvm: compiled; cupy: on a GPU")
    add("--seed", type=int, default=0, help="first weights, order and moves of the images follow from it (default 0)")
    add("--limit", type=count, metavar="N", help="learn from the first N images only")
    add("--epochs", type=count, default=15, help="how often it sees every image (default 15)")
    add("--batch", type=count, default=64, help="images a step (default 64)")
    add("--lr", type=float, default=0.001, help="learning rate at the start (default 0.001)")
    try:
        run(parser.parse_args(argv))
    except TinynnError as error:
        sys.exit("error: " + "; ".join(" ".join(line.split()) for line in str(error).splitlines()))


if __name__ == "__main__":
    main()
