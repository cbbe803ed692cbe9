"""The experiments of M. Nielsen's book, "Neural Networks and Deep Learning" (2015), chapters 1, 3 and 6.

    python examples/books/nielsen.py --backend llvm     all of them; a quarter of an hour, half of it the convolutions
    python examples/books/nielsen.py regularised        one of them

Two things must be translated. The book's cross-entropy sums over the ten outputs, BinaryCrossEntropy takes the mean
over them: its eta is a tenth of `lr` here. And its lambda is divided by the number n of training images: the same decay
is l2 = lambda / n for the book's cost, a tenth of that for the mean. The page: docs/books/nielsen.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from experiment import Experiment, Setup, digits, main

from tinynn import (
    SGD,
    Affine,
    BinaryCrossEntropy,
    Conv2D,
    History,
    Layer,
    MaxPool2D,
    QuadraticCost,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    datasets,
    fit,
    init,
)
from tinynn.optim import Optimizer

OUTPUTS = 10
BATCH = 10
LARGE = init.standard_normal


def network(setup: Setup, *layers: Layer) -> Sequential:
    """These layers behind the images as gray values from 0 to 1."""
    return Sequential(Rescale(1 / 255), *layers).build((784,), backend=setup.backend, seed=setup.seed)


def train(net: Sequential, optimizer: Optimizer, rows: Any, setup: Setup, epochs: int, **more: Any) -> History:
    """So many epochs of mini-batches of ten, in a quick run two of them."""
    epochs = setup.few(epochs, 2)
    return fit(net, optimizer, rows, epochs=epochs, batch_size=BATCH, seed=setup.seed, progress=False, **more)


def validation(setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The book's validation images, the 10,000 behind the 50,000 that it learns from; of a quick run a few of them."""
    images, last = datasets.mnist().train, 50_000 + setup.few(10_000, 500)
    return images.images[50_000:last].reshape(-1, 784), images.labels[50_000:last]


def share_right(net: Sequential, x: np.ndarray, labels: np.ndarray) -> float:
    """The share of the images whose largest output is that of their digit."""
    return float((net.ops.to_host(net.predict(x)).argmax(axis=1) == labels).mean())


# --- chapter 1


def train_quadratic(hidden: int, setup: Setup) -> dict[str, float]:
    """Sigmoids and squared errors, weights and biases from N(0, 1): the best of thirty epochs, and the last."""
    data = digits(setup, 50_000)
    net = network(
        setup, Affine(hidden, LARGE, LARGE), Sigmoid(), Affine(OUTPUTS, LARGE, LARGE), Sigmoid(), QuadraticCost()
    )
    seen = train(
        net, SGD(lr=3.0), (data.x, data.t), setup, 30, validation=(data.test_x, data.test_t)
    ).validation_accuracy
    return {"best": max(seen), "last": seen[-1]}


# --- chapter 3


def train_cross_entropy(
    setup: Setup,
    hidden: int = 30,
    eta: float = 0.5,
    lmbda: float = 0.0,
    rows: int = 50_000,
    epochs: int = 30,
    W: Callable = LARGE,
    on_validation: bool = False,
) -> dict[str, float]:
    """The last sigmoid is part of the cross-entropy. W: N(0, 1) at first, then N(0, 1/n), `init.lecun`.

    `on_validation`: looked at with the 10,000 images behind the first 50,000, as in the book.
    """
    data = digits(setup, rows)
    seen, labels = validation(setup) if on_validation else (data.test_x, data.test_t)
    net = network(setup, Affine(hidden, W, LARGE), Sigmoid(), Affine(OUTPUTS, W, LARGE), BinaryCrossEntropy())
    right: list[float] = []

    def look(history: History) -> None:
        right.append(share_right(net, seen, labels))

    optimizer = SGD(lr=OUTPUTS * eta, l2=lmbda / (OUTPUTS * len(data.x)))
    train(net, optimizer, (data.x, np.eye(OUTPUTS)[data.t]), setup, epochs, callbacks=[look])
    figures = {"first": right[0], "best": max(right), "last": right[-1]}
    return figures | {"train": share_right(net, data.x, data.t)}


def large_and_small(setup: Setup) -> dict[str, float]:
    """The same run from the book's first, large weights and from its new, small ones."""
    figures = {}
    for name, W in (("old", LARGE), ("new", init.lecun)):
        run = train_cross_entropy(setup, eta=0.1, lmbda=5.0, W=W, on_validation=True)
        figures |= {name: run["first"], f"{name}_last": run["last"]}
    return figures


# --- chapter 6


def normal(outputs: float) -> Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]:
    """W ~ N(0, 1 / outputs): `network3.py` divides by the outputs of a neuron where chapter 3 divides by its inputs."""
    return lambda rng, shape: rng.standard_normal(shape) / np.sqrt(outputs)


def convolution(filters: int, activation: type[Layer]) -> list[Layer]:
    """`ConvPoolLayer`: filters of 5 x 5, of each square of four the largest, then the activation."""
    return [Conv2D(filters, 5, W=normal(filters * 25 / 4), b=LARGE), MaxPool2D(2), activation()]


def train_softmax(
    setup: Setup,
    *filters: int,
    activation: type[Layer] = Sigmoid,
    eta: float = 0.1,
    lmbda: float = 0.0,
    epochs: int = 60,
) -> dict[str, float]:
    """Convolutional layers of so many `filters`, maybe none, a hidden layer of 100, a softmax.

    The test accuracy is that of the epoch in which the validation accuracy is best: nothing is learned from the test
    images, not even when to stop. `network3.py` divides lambda by the number of mini-batches, not of images.
    """
    data, others = digits(setup, 50_000), validation(setup)
    layers = [Affine(100, W=normal(100), b=LARGE), activation(), Affine(OUTPUTS, W=init.zeros), SoftmaxCrossEntropy()]
    if filters:
        inner = [layer for number in filters for layer in convolution(number, activation)]
        layers = [Reshape((1, 28, 28)), *inner, *layers]
    net = network(setup, *layers)
    seen: list[tuple[float, float]] = []

    def look(history: History) -> None:
        seen.append((share_right(net, *others), share_right(net, data.test_x, data.test_t)))

    optimizer = SGD(eta, l2=lmbda * BATCH / len(data.x))
    train(net, optimizer, (data.x, data.t), setup, epochs, callbacks=[look])
    best = max(seen, key=lambda epoch: epoch[0])
    return {"validation": best[0], "test": best[1]}


def chapter_3(name: str, what: str, book: str, ours: str = "{best:.2%}", **settings: Any) -> Experiment:
    """A run of chapter 3 from the book's first, large weights."""
    return Experiment(
        name, "chapter 3", what, book, ours, lambda setup: train_cross_entropy(setup, **settings), seeds=3
    )


EXPERIMENTS = (
    Experiment(
        name="first",
        where="chapter 1",
        what="784-30-10, quadratic cost, eta 3.0, 30 epochs",
        book="95.42 % in the best epoch",
        ours="{best:.2%}",
        run=lambda setup: train_quadratic(30, setup),
        seeds=5,
    ),
    Experiment(
        name="wider",
        where="chapter 1",
        what="the same with 100 hidden",
        book="96.59 %; readers found some runs much worse",
        ours="{best:.2%}",
        run=lambda setup: train_quadratic(100, setup),
        seeds=5,
    ),
    chapter_3("cross_entropy", what="784-30-10, cross-entropy, eta 0.5, 30 epochs", book="95.49 %"),
    chapter_3(
        "overfitted",
        what="1,000 training images, 400 epochs",
        book="82.27 %, and 100 % of the training images",
        ours="{best:.2%}, and {train:.0%}",
        rows=1_000,
        epochs=400,
    ),
    chapter_3("overfitted_less", what="the same with lambda = 0.1", book="87.1 %", rows=1_000, epochs=400, lmbda=0.1),
    chapter_3("regularised", what="all 50,000 images, lambda = 5.0, 30 epochs", book="96.49 %", lmbda=5.0),
    chapter_3(
        "hundred",
        what="the same with 100 hidden, on the validation images",
        book="97.92 % at the end",
        ours="{last:.2%}",
        hidden=100,
        lmbda=5.0,
        on_validation=True,
    ),
    Experiment(
        name="weights",
        where="chapter 3",
        what="784-30-10, eta 0.1, lambda = 5.0: first weights from N(0, 1), or N(0, 1/n); after one epoch",
        book="under 87 %, or almost 93 %",
        ours="{old:.1%}, or {new:.1%}",
        run=large_and_small,
        seeds=3,
    ),
    Experiment(
        name="softmax",
        where="chapter 6",
        what="784-100-10, softmax, eta 0.1, 60 epochs; the epoch chosen by the validation images",
        book="97.80 %",
        ours="{test:.2%}",
        run=train_softmax,
    ),
    Experiment(
        name="convolution",
        where="chapter 6",
        what="the same behind 20 filters of 5 x 5 and pooling",
        book="98.78 %",
        ours="{test:.2%}",
        run=lambda setup: train_softmax(setup, 20),
    ),
    Experiment(
        name="two_convolutions",
        where="chapter 6",
        what="40 filters more, ReLU, eta 0.03, lambda = 0.1; here 25 epochs",
        book="99.23 % in 60 epochs",
        ours="{test:.2%}",
        run=lambda setup: train_softmax(setup, 20, 40, activation=ReLU, eta=0.03, lmbda=0.1, epochs=25),
    ),
)

if __name__ == "__main__":
    main("nielsen", __doc__ or "", EXPERIMENTS)
