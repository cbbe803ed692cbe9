"""The experiments of M. Nielsen's book, "Neural Networks and Deep Learning" (2015), chapters 1, 3 and 6.

    python examples/books/nielsen.py --backend llvm     all of them; some minutes
    python examples/books/nielsen.py regularised        one of them

Two things must be translated. The book's cross-entropy sums over the ten outputs, BinaryCrossEntropy takes the mean
over them: its eta is a tenth of `lr` here. And its lambda is divided by the number n of training images: the same decay
is l2 = lambda / n for the book's cost, a tenth of that for the mean. The page: docs/books/nielsen.md
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from experiment import Experiment, Setup, digits, main

from tinynn import (
    SGD,
    Affine,
    BinaryCrossEntropy,
    QuadraticCost,
    Rescale,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    datasets,
    fit,
    init,
)

OUTPUTS = 10
BATCH = 10


def quadratic(hidden: int, setup: Setup) -> Sequential:
    """Chapter 1: sigmoids and squared errors, all weights and biases drawn from N(0, 1)."""
    W = b = init.standard_normal
    layers = [Rescale(1 / 255), Affine(hidden, W, b), Sigmoid(), Affine(OUTPUTS, W, b), Sigmoid(), QuadraticCost()]
    return Sequential(*layers).build((784,), backend=setup.backend, seed=setup.seed)


def cross_entropy(hidden: int, setup: Setup, W: Callable = init.lecun) -> Sequential:
    """Chapter 3: the last sigmoid is part of the cross-entropy. W: N(0, 1) at first ("large"), then N(0, 1/n)."""
    b = init.standard_normal
    layers = [Rescale(1 / 255), Affine(hidden, W, b), Sigmoid(), Affine(OUTPUTS, W, b), BinaryCrossEntropy()]
    return Sequential(*layers).build((784,), backend=setup.backend, seed=setup.seed)


def train_quadratic(hidden: int, setup: Setup) -> dict[str, float]:
    """Thirty epochs of chapter 1: the best of them, and the last."""
    data = digits(setup, 50_000)
    history = fit(
        quadratic(hidden, setup),
        SGD(lr=3.0),
        (data.x, data.t),
        epochs=setup.few(30, 2),
        batch_size=BATCH,
        validation=(data.test_x, data.test_t),
        seed=setup.seed,
        progress=False,
    )
    return {"best": max(history.validation_accuracy), "last": history.validation_accuracy[-1]}


def train_cross_entropy(
    setup: Setup,
    hidden: int = 30,
    eta: float = 0.5,
    lmbda: float = 0.0,
    rows: int = 50_000,
    epochs: int = 30,
    W: Callable = init.lecun,
    on_validation: bool = False,
) -> dict[str, float]:
    """A run of chapter 3. `on_validation`: looked at with the 10,000 images behind the first 50,000, as in the book."""
    data = digits(setup, rows)
    seen, labels = validation(setup) if on_validation else (data.test_x, data.test_t)
    net = cross_entropy(hidden, setup, W)
    right: list[float] = []
    fit(
        net,
        SGD(lr=OUTPUTS * eta, l2=lmbda / (OUTPUTS * len(data.x))),
        (data.x, np.eye(OUTPUTS)[data.t]),
        epochs=setup.few(epochs, 2),
        batch_size=BATCH,
        seed=setup.seed,
        progress=False,
        callbacks=[lambda history: right.append(share_right(net, seen, labels))],
    )
    figures = {"first": right[0], "best": max(right), "last": right[-1]}
    return figures | {"train": share_right(net, data.x, data.t)}


def validation(setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The book's validation images, the 10,000 behind the 50,000 that it learns from; of a quick run a few of them."""
    train, last = datasets.mnist().train, 50_000 + setup.few(10_000, 500)
    return train.images[50_000:last].reshape(-1, 784), train.labels[50_000:last]


def share_right(net: Sequential, x: np.ndarray, labels: np.ndarray) -> float:
    """The share of the images whose largest output is that of their digit."""
    return float((net.ops.to_host(net.predict(x)).argmax(axis=1) == labels).mean())


def tenth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """W ~ N(0, 1/100): `network3.py` divides by the number of outputs."""
    return 0.1 * rng.standard_normal(shape)


def softmax_net(setup: Setup) -> dict[str, float]:
    """The first network of chapter 6: 100 sigmoids and a softmax; first weights as in `network3.py`.

    The test accuracy is that of the epoch in which the validation accuracy is best: nothing is learned from the test
    images, not even when to stop.
    """
    data, b = digits(setup, 50_000), init.standard_normal
    others = validation(setup)
    layers = [Affine(100, W=tenth, b=b), Sigmoid(), Affine(OUTPUTS, W=init.zeros), SoftmaxCrossEntropy()]
    net = Sequential(Rescale(1 / 255), *layers).build((784,), backend=setup.backend, seed=setup.seed)
    seen: list[tuple[float, float]] = []
    fit(
        net,
        SGD(lr=0.1),
        (data.x, data.t),
        epochs=setup.few(60, 2),
        batch_size=BATCH,
        seed=setup.seed,
        progress=False,
        callbacks=[
            lambda history: seen.append((share_right(net, *others), share_right(net, data.test_x, data.test_t)))
        ],
    )
    best = max(seen, key=lambda epoch: epoch[0])
    return {"validation": best[0], "test": best[1]}


def both(setup: Setup, **settings: float) -> dict[str, float]:
    """The same run from the book's first, large weights and from its new, small ones."""
    old = train_cross_entropy(setup, W=init.standard_normal, on_validation=True, **settings)  # type: ignore[arg-type]
    new = train_cross_entropy(setup, W=init.lecun, on_validation=True, **settings)  # type: ignore[arg-type]
    return {"old": old["first"], "new": new["first"], "old_last": old["last"], "new_last": new["last"]}


LARGE = init.standard_normal
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
    Experiment(
        name="cross_entropy",
        where="chapter 3",
        what="784-30-10, cross-entropy, eta 0.5, 30 epochs",
        book="95.49 %",
        ours="{best:.2%}",
        run=lambda setup: train_cross_entropy(setup, W=LARGE),
        seeds=3,
    ),
    Experiment(
        name="overfitted",
        where="chapter 3",
        what="1,000 training images, 400 epochs",
        book="82.27 %, and 100 % of the training images",
        ours="{best:.2%}, and {train:.0%}",
        run=lambda setup: train_cross_entropy(setup, rows=1_000, epochs=400, W=LARGE),
        seeds=3,
    ),
    Experiment(
        name="overfitted_less",
        where="chapter 3",
        what="the same with lambda = 0.1",
        book="87.1 %",
        ours="{best:.2%}",
        run=lambda setup: train_cross_entropy(setup, rows=1_000, epochs=400, lmbda=0.1, W=LARGE),
        seeds=3,
    ),
    Experiment(
        name="regularised",
        where="chapter 3",
        what="all 50,000 images, lambda = 5.0, 30 epochs",
        book="96.49 %",
        ours="{best:.2%}",
        run=lambda setup: train_cross_entropy(setup, lmbda=5.0, W=LARGE),
        seeds=3,
    ),
    Experiment(
        name="hundred",
        where="chapter 3",
        what="the same with 100 hidden, on the validation images",
        book="97.92 % at the end",
        ours="{last:.2%}",
        run=lambda setup: train_cross_entropy(setup, hidden=100, lmbda=5.0, W=LARGE, on_validation=True),
        seeds=3,
    ),
    Experiment(
        name="weights",
        where="chapter 3",
        what="784-30-10, eta 0.1, lambda = 5.0: first weights from N(0, 1), or N(0, 1/n); after one epoch",
        book="under 87 %, or almost 93 %",
        ours="{old:.1%}, or {new:.1%}",
        run=lambda setup: both(setup, eta=0.1, lmbda=5.0, epochs=30),
        seeds=3,
    ),
    Experiment(
        name="softmax",
        where="chapter 6",
        what="784-100-10, softmax, eta 0.1, 60 epochs; the epoch chosen by the validation images",
        book="97.80 %",
        ours="{test:.2%}",
        run=softmax_net,
    ),
)

if __name__ == "__main__":
    main("nielsen", __doc__ or "", EXPERIMENTS)
