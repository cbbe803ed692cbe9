"""The experiments of Stanford's course CS231n: the case study of its notes, and what its assignments compare with.

    python examples/books/cs231n.py                     all of them; half a minute

The assignments train on CIFAR-10, which is not in this repository: what they report of it is not repeated here. The
numbers below are those with which a student checks a layer, an optimizer, a network, and they need no data; only the
comparison of optimizers takes digits instead. The page: docs/books/cs231n.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
from experiment import Experiment, Setup, digits, main

from tinynn import (
    SGD,
    Adam,
    Affine,
    BatchNorm,
    Conv2D,
    Layer,
    MaxPool2D,
    ReLU,
    Rescale,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)


def relative_error(a: Any, b: Any) -> float:
    """The largest |a - b| / (|a| + |b|): how the assignments compare."""
    a, b = np.asarray(a), np.asarray(b)
    return float((np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b))).max())


# --- the notes: "Putting it together: Minimal Neural Network Case Study"


def spiral(seed: int, points: int = 100, arms: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Three arms of a spiral, wound around one another: x (300, 2), labels (300,)."""
    rng = np.random.RandomState(seed)
    radius = np.tile(np.linspace(0, 1, points), arms)
    labels = np.repeat(np.arange(arms), points)
    angle = np.concatenate([np.linspace(4 * arm, 4 * arm + 4, points) for arm in range(arms)])
    angle = angle + 0.2 * rng.randn(arms * points)
    return radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1), labels


def case_study(setup: Setup) -> dict[str, float]:
    """A linear classifier, then 100 ReLUs, each by full-batch gradient descent with step 1 and regularisation 1e-3."""
    x, t = spiral(setup.seed)

    def small(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return 0.01 * rng.standard_normal(shape)

    figures = {}
    hidden = [Affine(100, W=small), ReLU()]
    for name, layers, steps in (("linear", [], 200), ("network", hidden, 10_000)):
        net = Sequential(*layers, Affine(3, W=small), SoftmaxCrossEntropy())
        net.build((2,), backend=setup.backend, dtype="float64", seed=setup.seed)
        optimizer = SGD(lr=1.0, l2=1e-3)
        fit(net, optimizer, (x, t), epochs=setup.few(steps, 200), batch_size=len(x), progress=False)
        figures[name] = net.evaluate(x, t).accuracy
    return figures


# --- assignment 1: the two-layer network on toy data


def toy(setup: Setup) -> tuple[Sequential, np.ndarray, np.ndarray]:
    """The network 4-10-3 and the five points, from the seeds that the assignment gives."""
    random = np.random.RandomState(0)
    W1, W2 = 0.1 * random.randn(4, 10), 0.1 * random.randn(10, 3)
    x = 10 * np.random.RandomState(1).randn(5, 4)
    net = Sequential(Affine(10, W=W1), ReLU(), Affine(3, W=W2), SoftmaxCrossEntropy())
    return net.build((4,), backend=setup.backend, dtype="float64"), x, np.array([0, 1, 2, 2, 1])


TOY_SCORES = [
    [-0.81233741, -1.27654624, -0.70335995],
    [-0.17129677, -1.18803311, -0.47310444],
    [-0.51590475, -1.01354314, -0.8504215],
    [-0.15419291, -0.48629638, -0.52901952],
    [-0.00618733, -0.12435261, -0.15226949],
]
TOY_LOSS = 1.30378789133  # of which 0.05 sum of W^2, their reg=0.05


def toy_numbers(setup: Setup) -> dict[str, float]:
    """How far scores and loss are from those that the assignment prints; then the loss after 100 steps of 0.1."""
    net, x, t = toy(setup)
    loss, cache = net.forward(x, t)
    scores = net.ops.to_host(cache.scores)
    penalty = 0.05 * sum((W**2).sum() for name, W in net.storage.arrays().items() if name.endswith("W"))
    figures = {
        "scores": float(np.abs(scores - TOY_SCORES).sum()),
        "loss": abs(float(loss) + penalty - TOY_LOSS),
    }
    fit(net, SGD(lr=0.1, l2=2 * 5e-6), (x, t), epochs=100, batch_size=5, progress=False)
    return figures | {"trained": net.loss(x, t), "accuracy": net.evaluate(x, t).accuracy}


# --- assignment 2: layers and optimizers against printed numbers


def line(low: float, high: float, *shape: int) -> np.ndarray:
    """Numbers from low to high in equal steps, which the assignments use in place of random ones."""
    return np.linspace(low, high, int(np.prod(shape))).reshape(shape)


AFFINE = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
CONVOLUTION = [  # image by image, filter by filter
    [-0.08759809, -0.10987781, -0.18387192, -0.2109216],
    [0.21027089, 0.21661097, 0.22847626, 0.23004637],
    [0.50813986, 0.54309974, 0.64082444, 0.67101435],
    [-0.98053589, -1.03143541, -1.19128892, -1.24695841],
    [0.69108355, 0.66880383, 0.59480972, 0.56776003],
    [2.36270298, 2.36904306, 2.38090835, 2.38247847],
]


def output(layer: Layer, x: np.ndarray, setup: Setup) -> np.ndarray:
    """What a layer makes of a batch."""
    net = Sequential(layer).build(x.shape[1:], backend=setup.backend, dtype="float64")
    return net.ops.to_host(net.predict(x))


def layer_numbers(setup: Setup) -> dict[str, float]:
    """Outputs of an affine layer and of a convolution."""
    affine = Affine(3, W=line(-0.2, 0.3, 120, 3), b=line(-0.3, 0.1, 3))
    filters = Conv2D(3, 4, stride=2, padding=1, W=line(-0.2, 0.3, 3, 3, 4, 4), b=line(-0.1, 0.2, 3))
    y = output(filters, line(-0.1, 0.5, 2, 3, 4, 4), setup)
    return {
        "affine": relative_error(output(affine, line(-0.1, 0.5, 2, 4, 5, 6), setup), AFFINE),
        "convolution": relative_error(y.reshape(6, 4), CONVOLUTION),
    }


def gradient_error(layer: Layer, x: np.ndarray, setup: Setup, h: float = 1e-5) -> float:
    """The largest relative error of dx and of the parameters' gradients against central differences.

    `tinynn.gradcheck(layer, shape)` does this and more, in one line; here it is written out to get the number itself.
    """
    net = Sequential(layer).build(x.shape[1:], backend=setup.backend, dtype="float64", needs_dx=True)
    y, cache = net.forward(x)
    dy = np.random.RandomState(1).randn(*y.shape)
    found = [net.ops.to_host(net.backward(dy, cache)).copy(), net.ops.to_host(net.storage.grads).copy()]
    parameters = net.storage.params

    def differences(array: np.ndarray) -> np.ndarray:
        slopes = np.zeros(array.size)
        for i in range(array.size):
            at, sides = np.unravel_index(i, array.shape), []
            old = float(array[at])
            for value in (old + h, old - h):
                array[at] = value
                sides.append(net.ops.to_host(net.forward(x)[0]).copy())
            array[at] = old
            slopes[i] = ((sides[0] - sides[1]) * dy).sum() / (2 * h)
        return slopes.reshape(array.shape)

    errors = [relative_error(found[0], differences(x))]
    if parameters.size:
        used = ~np.isnan(found[1])  # the vector of all gradients has gaps between its arrays
        errors.append(relative_error(found[1][used], differences(parameters)[used]))
    return max(errors)


def gradient_checks(setup: Setup) -> dict[str, float]:
    """The gradient checks of the assignments, on inputs of their shapes."""
    random = np.random.RandomState(231)
    return {
        "affine": gradient_error(Affine(5), random.randn(10, 2, 3), setup),
        "relu": gradient_error(ReLU(), random.randn(10, 10), setup),
        "convolution": gradient_error(Conv2D(2, 3, padding=1), random.randn(4, 3, 5, 5), setup),
        "pool": gradient_error(MaxPool2D(2), random.randn(3, 2, 8, 8), setup),
        "batchnorm": gradient_error(BatchNorm(), 5 * random.randn(4, 5) + 12, setup),
    }


MOMENTUM = [
    [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789],
    [0.47454737, 0.54133684, 0.60812632, 0.67491579, 0.74170526],
    [0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263],
    [1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096],
]
RMSPROP = [
    [-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247],
    [-0.132737, -0.08078555, -0.02881884, 0.02316247, 0.07515774],
    [0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447],
    [0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619],
]
ADAM = [
    [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977],
    [-0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929],
    [0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969],
    [0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459],
]


def stepped(optimizer: Any, setup: Setup, steps: int = 0, **vectors: np.ndarray) -> np.ndarray:
    """W after one step from the assignment's W and dW, the optimizer remembering what the assignment says it does."""
    layer = Affine(5, W=line(-0.4, 0.6, 4, 5))
    net = Sequential(layer).build((4,), backend=setup.backend, dtype="float64")
    layer.dW[...] = net.xp.asarray(line(-0.6, 0.4, 4, 5))
    layer.db[...] = 0
    state = {"steps": steps}
    for name, value in vectors.items():
        state |= {f"{name}.0.W": value, f"{name}.0.b": np.zeros(5)}
    optimizer.load_state(state)
    optimizer.step(net)
    return net.storage.arrays()["0.W"]


def optimizer_numbers(setup: Setup) -> dict[str, float]:
    """One step of each. Their momentum adds a velocity that has the learning rate in it already: v = -lr v here."""
    mean, square, lr = line(0.6, 0.9, 4, 5), line(0.7, 0.5, 4, 5), 1e-3
    momentum = stepped(SGD(lr, momentum=0.9), setup, velocity=-mean / lr)
    rmsprop = stepped(RMSProp(1e-2, rho=0.99), setup, squares=mean)
    adam = stepped(Adam(1e-2), setup, steps=5, m=mean, v=square)
    return {
        "momentum": relative_error(momentum, MOMENTUM),
        "rmsprop": relative_error(rmsprop, RMSPROP),
        "adam": relative_error(adam, ADAM),
    }


def race(setup: Setup) -> dict[str, float]:
    """Four optimizers on the assignment's net, five hidden layers of 100, with 4,000 digits: training accuracy."""
    data = digits(setup, 4_000)

    def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return 0.05 * rng.standard_normal(shape)

    figures = {}
    optimizers = {"sgd": SGD(5e-3), "momentum": SGD(5e-3, momentum=0.9), "rmsprop": RMSProp(1e-4, rho=0.99)}
    for name, optimizer in (optimizers | {"adam": Adam(1e-3)}).items():
        hidden = [layer for _ in range(5) for layer in (Affine(100, W=weights), ReLU())]
        net = Sequential(Rescale(1.0, -33.3), *hidden, Affine(10, W=weights), SoftmaxCrossEntropy())
        net.build((784,), backend=setup.backend, seed=setup.seed)
        fit(net, optimizer, (data.x, data.t), epochs=5, batch_size=100, seed=setup.seed, progress=False)
        figures[name] = net.evaluate(data.x, data.t).accuracy
    return figures


EXPERIMENTS = (
    Experiment(
        name="spiral",
        where="notes, case study",
        what="a spiral of three arms: training accuracy of a linear classifier, and with 100 ReLUs before it",
        book="49 %, 98 %",
        ours="{linear:.0%}, {network:.0%}",
        run=case_study,
        seeds=5,
    ),
    Experiment(
        name="toy",
        where="assignment 1, two-layer net",
        what="scores and loss of the toy net, against those printed",
        book="differences < 1e-7 and < 1e-12",
        ours="{scores:.1e} and {loss:.1e}",
        run=toy_numbers,
    ),
    Experiment(
        name="toy_trained",
        where="assignment 1, two-layer net",
        what="loss on the toy data after 100 steps of 0.1, reg 5e-6",
        book="< 0.02",
        ours="{trained:.3f}",
        run=toy_numbers,
    ),
    Experiment(
        name="layers",
        where="assignment 2",
        what="`affine_forward` and `conv_forward_naive` against the printed outputs, relative error",
        book="around 1e-9 and 1e-8",
        ours="{affine:.1e} and {convolution:.1e}",
        run=layer_numbers,
    ),
    Experiment(
        name="gradients",
        where="assignment 2",
        what="gradient checks, relative error: affine, ReLU, convolution, max pooling, batch normalisation",
        book="about 1e-10, 1e-12, 1e-8, 1e-12, 1e-13 to 1e-8",
        ours="{affine:.0e}, {relu:.0e}, {convolution:.0e}, {pool:.0e}, {batchnorm:.0e}",
        run=gradient_checks,
    ),
    Experiment(
        name="optimizers",
        where="assignment 2",
        what="one step of `sgd_momentum`, `rmsprop`, `adam` against the printed W, relative error",
        book="below 1e-8, 1e-7, 1e-7",
        ours="{momentum:.0e}, {rmsprop:.0e}, {adam:.0e}",
        run=optimizer_numbers,
    ),
    Experiment(
        name="race",
        where="assignment 2",
        what="six layers, 4,000 images, 5 epochs: training accuracy by SGD, momentum, RMSProp, Adam (here on digits)",
        book="momentum converges faster than SGD",
        ours="{sgd:.0%}, {momentum:.0%}, {rmsprop:.0%}, {adam:.0%}",
        run=race,
        seeds=3,
    ),
)

if __name__ == "__main__":
    main("cs231n", __doc__ or "", EXPERIMENTS)
