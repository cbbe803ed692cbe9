"""The experiments of T. Rashid's book, "Make Your Own Neural Network" (2016), parts 2 and 3.

    python examples/books/rashid.py --backend llvm      all of them; some minutes

The book takes one image a step. Its inputs run from 0.01 to 1 and its targets are 0.01 and 0.99, so that no input is 0
and no target out of a sigmoid's reach; its weights come from N(0, 1/n), and it has no biases. It hands the errors back
to the hidden nodes "split by the weights", without the slope of the outputs: that is not quite the derivative. The
layer `ByTheBook` below does the same; the library's own take the derivative. The page: docs/books/rashid.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
from experiment import Experiment, Setup, digits, main

from tinynn import SGD, Affine, Layer, QuadraticCost, Rescale, Sequential, Sigmoid, fit, init


class ByTheBook(Layer):
    """y = sigmoid(x W), without a bias.

    Backward: dW = x^T (dy y (1 - y)), and dx = dy W^T, in which y (1 - y) is missing.
    """

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes

    def build(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        self.param("W", (shape[0], self.nodes), init.lecun)
        return (self.nodes,)

    def forward(self, x: Any) -> tuple[Any, Any]:
        z = self.ops.matmul(x, self.W, out=self.empty("z", (len(x), self.nodes)))
        y = 1 / (1 + self.xp.exp(-z))
        return y, (x, y)

    def backward(self, dy: Any, cache: Any) -> Any:
        x, y = cache
        self.ops.matmul(x.T, dy * y * (1 - y), out=self.dW)
        return self.ops.matmul(dy, self.W.T, out=self.empty("dx", x.shape)) if self.needs_dx else None


def network(hidden: int, setup: Setup, by_the_book: bool) -> Sequential:
    """784 - hidden - 10, all sigmoids, by the book's rule or by the derivative."""
    if by_the_book:
        layers: list[Layer] = [ByTheBook(hidden), ByTheBook(10)]
    else:
        layers = [Affine(hidden, W=init.lecun), Sigmoid(), Affine(10, W=init.lecun), Sigmoid()]
    net = Sequential(Rescale(0.99 / 255, 0.01), *layers, QuadraticCost(off=0.01, on=0.99))
    return net.build((784,), backend=setup.backend, seed=setup.seed)


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Images (N, 784) turned about their middle; each pixel is mixed from the four around the place it came from."""
    turn, middle = np.radians(degrees), 13.5
    row, column = np.indices((28, 28)).reshape(2, -1) - middle
    came_from = np.stack([np.cos(turn) * row + np.sin(turn) * column, np.cos(turn) * column - np.sin(turn) * row])
    came_from += middle
    low = np.floor(came_from).astype(int)
    part = came_from - low
    mixed = np.zeros(images.shape, dtype=np.float32)
    for down in (0, 1):
        for right in (0, 1):
            r, c = low[0] + down, low[1] + right
            inside = (r >= 0) & (r < 28) & (c >= 0) & (c < 28)
            weight = np.where(down, part[0], 1 - part[0]) * np.where(right, part[1], 1 - part[1]) * inside
            mixed += weight.astype(np.float32) * images[:, np.where(inside, 28 * r + c, 0)]
    return np.rint(mixed).astype(np.uint8)


def train(setup: Setup, lr: float, epochs: int, turns: bool = False, by_the_book: bool = True) -> float:
    """The accuracy after so many epochs, one image a step; `turns`: each image also turned, ten degrees either way."""
    data = digits(setup)
    x, t = data.x, data.t
    if turns:
        x, t = np.concatenate([x, rotated(x, 10), rotated(x, -10)]), np.tile(t, 3)
    net = network(200, setup, by_the_book)
    fit(net, SGD(lr), (x, t), epochs=setup.few(epochs, 1), batch_size=1, seed=setup.seed, progress=False)
    return net.evaluate(data.test_x, data.test_t).accuracy


def two_hundred(setup: Setup) -> dict[str, float]:
    """The network at the end of part 2."""
    return {"book": train(setup, 0.1, 5), "exact": train(setup, 0.1, 5, by_the_book=False)}


def turned(setup: Setup) -> dict[str, float]:
    """The network of part 3 that also sees the images turned."""
    return {"book": train(setup, 0.01, 10, turns=True), "exact": train(setup, 0.01, 10, turns=True, by_the_book=False)}


EXPERIMENTS = (
    Experiment(
        name="two_hundred",
        where="part 2",
        what="784-200-10, learning rate 0.1, 5 epochs",
        book="97.47 %; another run, in part 3, 97.11 %",
        ours="{book:.2%} by the book's rule; {exact:.2%} by the derivative",
        run=two_hundred,
        seeds=3,
    ),
    Experiment(
        name="turned",
        where="part 3",
        what="learning rate 0.01, 10 epochs, each image also turned by 10 degrees either way",
        book="97.50 %",
        ours="{book:.2%} by the book's rule; {exact:.2%} by the derivative",
        run=turned,
    ),
)

if __name__ == "__main__":
    main("rashid", __doc__ or "", EXPERIMENTS)
