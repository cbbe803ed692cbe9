"""The experiments of K. Saito's book, "Deep Learning from Scratch" (2016; O'Reilly Japan), chapters 5 to 7.

    python examples/books/dlfs.py --backend llvm                all of them; ten minutes, most of it `convnet`
    python examples/books/dlfs.py gradient_check optimizers     some of them

In most places the book has a picture and no number. What can be read off the picture is then what it is compared with.
The page: docs/books/dlfs.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from experiment import Digits, Experiment, Setup, digits, main

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    Affine,
    BatchNorm,
    Conv2D,
    Dropout,
    Layer,
    MaxPool2D,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    StateError,
    fit,
    init,
)
from tinynn.optim import Optimizer


def normal(std: float) -> Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]:
    """W ~ N(0, std^2): the book's `weight_init_std`."""
    return lambda rng, shape: std * rng.standard_normal(shape)


def multi_layer_net(
    setup: Setup, widths: Sequence[int], W: Callable = init.he, batchnorm: bool = False, dropout: float = 0.0
) -> Sequential:
    """The book's `MultiLayerNet`: ReLU behind each hidden layer, before it normalisation, behind it dropout, if any."""
    layers: list[Layer] = [Rescale(1 / 255)]
    for width in widths:
        layers += [Affine(width, W=W), *([BatchNorm()] if batchnorm else []), ReLU()]
        layers += [Dropout(dropout)] if dropout else []
    layers += [Affine(10, W=W), SoftmaxCrossEntropy()]
    return Sequential(*layers).build((784,), backend=setup.backend, seed=setup.seed)


def train(net: Sequential, optimizer: Optimizer, data: Digits, setup: Setup, epochs: int, batch: int) -> list[float]:
    """So many epochs, cut short in a quick run; the mean loss in each of them."""
    epochs = setup.few(epochs, 2)
    rows = data.x, data.t
    return fit(net, optimizer, rows, epochs=epochs, batch_size=batch, seed=setup.seed, progress=False).loss


# --- chapter 5


def gradient_check(setup: Setup) -> dict[str, float]:
    """The mean of |backpropagation - central difference| for each array of 784-50-10, over three images."""
    data = digits(setup)
    W = normal(0.01)
    net = Sequential(Rescale(1 / 255), Affine(setup.few(50, 5), W=W), ReLU(), Affine(10, W=W), SoftmaxCrossEntropy())
    net.build((784,), backend=setup.backend, dtype="float64", seed=setup.seed)
    x, t, h = data.x[:3], data.t[:3], 1e-4
    _, cache = net.forward(x, t)
    net.backward(1.0, cache)
    gradients = {name: net.ops.to_host(dW).copy() for name, dW in net.storage.gradients.items()}
    figures = {}
    for (name, W), book in zip(net.storage.parameters.items(), ("W1", "W2", "b1", "b2"), strict=True):
        slopes = np.zeros(W.shape)
        for at in np.ndindex(W.shape):
            old = float(W[at])
            W[at] = old + h
            above = float(net.forward(x, t)[0])
            W[at] = old - h
            slopes[at] = (above - float(net.forward(x, t)[0])) / (2 * h)
            W[at] = old
        figures[book] = float(np.abs(gradients[name] - slopes).mean())
    return figures


def two_layer_net(setup: Setup) -> dict[str, float]:
    """784-50-10, learning rate 0.1, 17 epochs of 600 steps, which are the 10,000 steps of the book."""
    data = digits(setup)
    net = multi_layer_net(setup, [50], W=normal(0.01))
    train(net, SGD(0.1), data, setup, epochs=17, batch=100)
    return {"train": net.evaluate(data.x, data.t).accuracy, "test": net.evaluate(data.test_x, data.test_t).accuracy}


# --- chapter 6


def valley(setup: Setup) -> dict[str, float]:
    """f(x, y) = x^2/20 + y^2 from (-7, 2): how far each optimizer is from the lowest point after its 30 steps."""
    optimizers = {"sgd": SGD(0.95), "momentum": SGD(0.1, momentum=0.9), "adagrad": Adagrad(1.5, eps=1e-7)}
    figures = {}
    for name, optimizer in (optimizers | {"adam": Adam(0.3)}).items():
        place = Affine(1, W=np.array([[-7.0], [2.0]]))  # a layer's weights, moved by gradients that we write ourselves
        net = Sequential(place).build((2,), backend=setup.backend, dtype="float64")
        for _ in range(30):
            place.dW[...] = place.W * net.xp.asarray([[0.1], [2.0]])  # df/dx = x/10, df/dy = 2 y
            place.db[...] = 0
            optimizer.step(net)
        x, y = net.storage.arrays()["0.W"].ravel()
        figures[name] = float(np.hypot(x, y))
    return figures


def optimizers(setup: Setup) -> dict[str, float]:
    """784-100-100-100-100-10 by each optimizer, some 2,000 steps of 128 images: the mean loss of the last epoch."""
    data = digits(setup)
    figures = {}
    makers = {"sgd": SGD(0.01), "momentum": SGD(0.01, momentum=0.9), "adagrad": Adagrad(0.01), "adam": Adam(0.001)}
    for name, optimizer in makers.items():
        figures[name] = train(multi_layer_net(setup, [100] * 4), optimizer, data, setup, epochs=4, batch=128)[-1]
    return figures


def first_weights(setup: Setup) -> dict[str, float]:
    """The same net by SGD(0.01), its weights drawn in three ways: the mean loss of the last epoch of four."""
    data = digits(setup)
    figures = {}
    for name, W in (("small", normal(0.01)), ("xavier", init.lecun), ("he", init.he)):
        figures[name] = train(multi_layer_net(setup, [100] * 4, W=W), SGD(0.01), data, setup, epochs=4, batch=128)[-1]
    return figures


def activations(setup: Setup) -> dict[str, float]:
    """Five layers of 100 sigmoids on normal inputs: how the outputs of the last of them are spread."""
    x = np.random.default_rng(setup.seed).standard_normal((1000, 100))
    figures = {}
    for name, W in (("one", normal(1.0)), ("small", normal(0.01)), ("xavier", init.lecun)):
        layers = [layer for _ in range(5) for layer in (Affine(100, W=W), Sigmoid())]
        net = Sequential(*layers).build((100,), backend=setup.backend, seed=setup.seed)
        z = net.ops.to_host(net.predict(x))
        figures[name] = float(z.std())
        figures[f"{name}_ends"] = float(((z < 0.05) | (z > 0.95)).mean())
    return figures


def batch_normalisation(setup: Setup) -> dict[str, float]:
    """1,000 images, 20 epochs, first weights of 16 scales from 1 to 1e-4: for how many is the net with it ahead."""
    data = digits(setup, 1_000)
    ahead, right = 0, []
    scales = np.logspace(0, -4, num=16)[:: 5 if setup.quick else 1]
    for scale in scales:
        accuracy = []
        for batchnorm in (True, False):
            net = multi_layer_net(setup, [100] * 5, W=normal(scale), batchnorm=batchnorm)
            # Weights of N(0, 1) without normalisation may overflow, in the book as here; that run has learned nothing.
            try:
                train(net, SGD(0.01), data, setup, epochs=20, batch=100)
                accuracy.append(net.evaluate(data.x, data.t).accuracy)
            except StateError:
                accuracy.append(0.1)
        ahead += accuracy[0] > accuracy[1]
        right.append(accuracy[0])
    return {"ahead": ahead, "scales": len(scales), "best": max(right)}


def overfitted(setup: Setup) -> dict[str, float]:
    """300 images and seven layers, as they are, with weight decay 0.1, and with dropout of a share of 0.2."""
    data = digits(setup, 300)
    figures = {}
    for name, l2, dropout, epochs in (("plain", 0.0, 0.0, 201), ("decay", 0.1, 0.0, 201), ("dropout", 0.0, 0.2, 301)):
        net = multi_layer_net(setup, [100] * 6, dropout=dropout)
        train(net, SGD(0.01, l2=l2), data, setup, epochs=epochs, batch=100)
        figures[name] = net.evaluate(data.x, data.t).accuracy
        figures[f"{name}_test"] = net.evaluate(data.test_x, data.test_t).accuracy
    return figures


# --- chapter 7


def convnet(setup: Setup) -> dict[str, float]:
    """The book's `SimpleConvNet`: 30 filters of 5 x 5, pooling, 100 ReLUs; Adam, 20 epochs of 100 images a step."""
    data = digits(setup)
    W = normal(0.01)
    layers = [Conv2D(30, 5, W=W), ReLU(), MaxPool2D(2), Affine(100, W=W), ReLU(), Affine(10, W=W)]
    net = Sequential(Rescale(1 / 255), Reshape((1, 28, 28)), *layers, SoftmaxCrossEntropy())
    net.build((784,), backend=setup.backend, seed=setup.seed)
    train(net, Adam(0.001), data, setup, epochs=setup.few(20, 1), batch=100)
    seen = data.x[:1000], data.t[:1000]  # the book looks at so many of the training images
    return {"train": net.evaluate(*seen).accuracy, "test": net.evaluate(data.test_x, data.test_t).accuracy}


EXPERIMENTS = (
    Experiment(
        name="gradient_check",
        where="5.7.3",
        what="784-50-10: mean of \\|backpropagation - numerical gradient\\| for W1, b1, W2, b2",
        book="2e-13, 1e-12, 8e-13, 1e-10",
        ours="{W1:.0e}, {b1:.0e}, {W2:.0e}, {b2:.0e}",
        run=gradient_check,
    ),
    Experiment(
        name="two_layer_net",
        where="5.7.4",
        what="784-50-10, learning rate 0.1, batches of 100, 17 epochs: training and test images",
        book="two curves, nearly one on the other",
        ours="{train:.1%}, {test:.1%}",
        run=two_layer_net,
        seeds=3,
    ),
    Experiment(
        name="valley",
        where="6.1",
        what="x²/20 + y² from (-7, 2), 30 steps: distance from the lowest point for SGD, momentum, AdaGrad, Adam",
        book="a zigzag; a ball that rolls; straight; in between",
        ours="{sgd:.3f}, {momentum:.3f}, {adagrad:.3f}, {adam:.3f}",
        run=valley,
    ),
    Experiment(
        name="optimizers",
        where="6.1.8",
        what="784-100-100-100-100-10: loss of the 4th epoch with SGD, momentum, AdaGrad, Adam",
        book="SGD is the slowest, the others are alike, AdaGrad a little ahead",
        ours="{sgd:.3f}, {momentum:.3f}, {adagrad:.3f}, {adam:.3f}",
        run=optimizers,
        seeds=3,
    ),
    Experiment(
        name="activations",
        where="6.2.2",
        what="the last of five layers of sigmoids, for std 1, 0.01, 1/√n: share below 0.05 or above 0.95, std",
        book="at 0 and 1; all around 0.5; spread out",
        ours="{one_ends:.0%}, {one:.2f}; {small_ends:.0%}, {small:.2f}; {xavier_ends:.0%}, {xavier:.2f}",
        run=activations,
        seeds=3,
    ),
    Experiment(
        name="first_weights",
        where="6.2.4",
        what="the same net by SGD(0.01): loss of the 4th epoch with weights of std 0.01, Xavier, He",
        book="0.01 does not learn at all; both others do, He faster",
        ours="{small:.2f}, {xavier:.2f}, {he:.2f}",
        run=first_weights,
        seeds=3,
    ),
    Experiment(
        name="batch_normalisation",
        where="6.3.2",
        what="1,000 images, 20 epochs, 16 scales of the first weights: for how many batch normalisation is ahead",
        book="for nearly all",
        ours="{ahead:.0f} of {scales:.0f}",
        run=batch_normalisation,
        seeds=3,
    ),
    Experiment(
        name="overfitted",
        where="6.4",
        what="300 images, seven layers: training and test images, plain, with weight decay 0.1, with dropout 0.2",
        book="100 % of the training images; less, and nearer to the test images, with either cure",
        ours="{plain:.0%} and {plain_test:.0%}; {decay:.0%} and {decay_test:.0%}; {dropout:.0%} and {dropout_test:.0%}",
        run=overfitted,
        seeds=3,
    ),
    Experiment(
        name="convnet",
        where="7.5",
        what="SimpleConvNet, Adam, 20 epochs: training and test images",
        book="99.82 %, 98.96 %",
        ours="{train:.2%}, {test:.2%}",
        run=convnet,
    ),
)

if __name__ == "__main__":
    main("dlfs", __doc__ or "", EXPERIMENTS)
