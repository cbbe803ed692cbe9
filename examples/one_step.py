"""One training step, every number of it: forward, backward, update, on a network small enough to follow with a pencil.

The network is 2-2-2 with sigmoids and quadratic cost, one example, and the numbers of Matt Mazur's "A Step by Step
Backpropagation Example" (2015), so that you can lay his page beside this one.

    x --W1,b1--> z1 --sigmoid--> a1 --W2,b2--> z2 --sigmoid--> a2 --cost--> L

Forward, each layer puts out y and keeps in its cache what its derivative will need. Backward, each layer gets dy, the
derivative of L with respect to what it put out, and turns it into dx, the derivative with respect to what it took in,
which is the dy of the layer before. On the way an affine layer finds dW and db. That is all of backpropagation.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import SGD, Affine, QuadraticCost, Sequential, Sigmoid

X = np.array([[0.05, 0.10]])
TARGET = np.array([[0.01, 0.99]])
W1, B1 = np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([0.35, 0.35])  # W[i, j]: from input i to output j
W2, B2 = np.array([[0.40, 0.50], [0.45, 0.55]]), np.array([0.60, 0.60])
LEARNING_RATE = 0.5


def make_network(backend: str = "numpy") -> Sequential:
    """The network with the given weights, in float64."""
    return Sequential(
        Affine(2, W=W1, b=B1),
        Sigmoid(),
        Affine(2, W=W2, b=B2),
        Sigmoid(),
        QuadraticCost(),
    ).build((2,), backend=backend, dtype="float64")


def forward(net: Sequential) -> tuple[list[Any], float]:
    """Calls the layers one by one, as `net.forward` does, and prints what each puts out."""
    y, caches = net.ops.asarray(X), []
    for number, layer in enumerate(net.layers[:-1]):
        y, cache = layer.forward(y)
        caches.append(cache)
        print(f"  layer {number}  {type(layer).__name__:<14} y  = {numbers(net.ops.to_host(y))}")
    loss, cache = net.layers[-1].forward(y, net.ops.asarray(TARGET))
    caches.append(cache)
    L = float(net.ops.to_host(loss))  # from a GPU, if it is there
    print(f"  layer {len(net) - 1}  {type(net.layers[-1]).__name__:<14} L  = {L:.9f}")
    return caches, L


def backward(net: Sequential, caches: list[Any]) -> None:
    """Calls the layers' backward passes in reverse, as `net.backward` does, and prints what each hands down."""
    dy, _ = net.layers[-1].backward(1.0, caches[-1])  # dL/dL = 1
    print(f"  layer {len(net) - 1}  {type(net.layers[-1]).__name__:<14} dx = {numbers(net.ops.to_host(dy))}")
    for number in range(len(net) - 2, -1, -1):
        layer = net.layers[number]
        dy = layer.backward(dy, caches[number])
        shown = "nobody asks" if dy is None else numbers(net.ops.to_host(dy))
        print(f"  layer {number}  {type(layer).__name__:<14} dx = {shown}")


def difference_quotient(net: Sequential, name: str, index: tuple[int, int], eps: float = 1e-5) -> float:
    """(L(w + eps) - L(w - eps)) / (2 eps): what the gradient of a weight must be, found without any calculus."""
    W = net.storage.parameters[name]
    old = W[index].copy()
    W[index] = old + eps
    above = net.loss(X, TARGET)
    W[index] = old - eps
    below = net.loss(X, TARGET)
    W[index] = old
    return (above - below) / (2 * eps)


def numbers(values: np.ndarray) -> str:
    return "  ".join(f"{value: .9f}" for value in np.ravel(values))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One training step, every number of it.")
    parser.add_argument("--steps", type=int, default=10_000, help="steps in all, the first of them shown (%(default)s)")
    parser.add_argument("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="cupy: on a GPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE")
    args = parser.parse_args(argv)
    net, sgd = make_network(args.backend), SGD(lr=LEARNING_RATE)

    print("Forward: x =", numbers(X))
    caches, first_loss = forward(net)
    print("\nBackward: dL/dL = 1")
    backward(net, caches)

    print("\nWeights: gradient, difference quotient, and the value after  W <- W - lr dW")
    quotients = {
        (name, i, j): difference_quotient(net, name, (i, j)) for name in ("0.W", "2.W") for i in (0, 1) for j in (0, 1)
    }
    gradients = {key: float(net.ops.to_host(net.storage.gradients[key[0]])[key[1:]]) for key in quotients}
    before = {key: float(net.storage.arrays()[key[0]][key[1:]]) for key in quotients}
    sgd.step(net)
    after = {key: float(net.storage.arrays()[key[0]][key[1:]]) for key in quotients}
    for key, gradient in gradients.items():
        name = f"{key[0]}[{key[1]}, {key[2]}]"
        print(f"  {name:<10} dW = {gradient: .9f}   {quotients[key]: .9f}   {before[key]:.2f} -> {after[key]:.9f}")

    for _ in range(args.steps - 1):
        _, cache = net.forward(X, TARGET)  # the same as above, in one call each
        net.backward(1.0, cache)
        sgd.step(net)
    last_loss = net.loss(X, TARGET)
    print(f"\nThe loss was {first_loss:.9f}; after {args.steps:,} steps it is {last_loss:.3g}, and the outputs are")
    y = net.ops.to_host(net.predict(X))
    print("  y =", numbers(y), "  wanted:", numbers(TARGET))

    if args.json:
        measured = {"first_loss": first_loss, "last_loss": last_loss, "outputs": y.tolist()}
        measured |= {
            "weights": [
                {"name": f"{n}[{i},{j}]", "gradient": gradients[n, i, j], "quotient": q, "after": after[n, i, j]}
                for (n, i, j), q in quotients.items()
            ]
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
