"""Lesson: perceptrons are logic gates, layers of them can add, and why they cannot be trained while sigmoids can.

A perceptron weighs its inputs and fires when the sum is above 0:

    output = step(x1 w1 + x2 w2 + b)          Sequential(Affine(1), Step())

With weights -2, -2 and bias 3 it is NAND, "not both", the gate from which every circuit can be built.

Source: Nielsen, "Neural Networks and Deep Learning", chapter 1.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynn import SGD, Affine, GradientError, Layer, QuadraticCost, Sequential, Sigmoid, Step
from tinynn.init import standard_normal

INPUTS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], dtype=np.float64)
NAND = np.array([[1], [1], [1], [0]], dtype=np.float64)
STEPS, LEARNING_RATE = 5000, 2.0


def gate(
    activation: type[Layer], w1: float = -2.0, w2: float = -2.0, b: float = 3.0, backend: str = "numpy"
) -> Sequential:
    """One neuron with two inputs; with Step and the weights that stand here, a NAND."""
    layer = Affine(1, W=np.array([[w1], [w2]]), b=np.array([b]))
    return Sequential(layer, activation()).build((2,), backend=backend, dtype="float64")


def gates(width: int, *wires: tuple[int, ...]) -> tuple[Affine, Step]:
    """A layer of perceptrons on `width` inputs: (i, j) is the NAND of the inputs i and j, (i,) carries i forward.

    To carry forward, a perceptron fires when 2 x - 1 > 0, that is when x is 1.
    """
    W, b = np.zeros((width, len(wires))), np.zeros(len(wires))
    for column, wire in enumerate(wires):
        for i in wire:
            W[i, column] += -2 if len(wire) == 2 else 2  # (i, i) gives -4: a NAND of one input with itself is NOT
        b[column] = 3 if len(wire) == 2 else -1
    return Affine(len(wires), W=W, b=b), Step()


def half_adder(backend: str = "numpy") -> Sequential:
    """Two bits x1, x2 in, (sum, carry) out, five NANDs in three layers; each layer carries on what later ones need."""
    return Sequential(
        *gates(2, (0,), (1,), (0, 1)),  # x1, x2, n = NAND(x1, x2)
        *gates(3, (0, 2), (1, 2), (2,)),  # NAND(x1, n), NAND(x2, n), n
        *gates(3, (0, 1), (2, 2)),  # sum = NAND of the two, carry = NAND(n, n) = AND(x1, x2)
    ).build((2,), backend=backend, dtype="float64")


def outputs(net: Sequential, x: np.ndarray = INPUTS) -> np.ndarray:
    """What the network puts out, on the host: a GPU's arrays are not NumPy's."""
    return net.ops.to_host(net.predict(x))


def move_a_weight(activation: type[Layer], weights: Sequence[float], backend: str = "numpy") -> list[float]:
    """The output for the input (1, 1), as w1 takes these values one after the other."""
    net = gate(activation, backend=backend)
    found = []
    for w1 in weights:
        net.storage.parameters["0.W"][0, 0] = w1
        found.append(outputs(net, INPUTS[3:]).item())
    return found


def slope(activation: type[Layer], backend: str = "numpy") -> float:
    """The derivative of the output by w1 for the input (1, 1), by a backward pass. Errors: GradientError for Step."""
    net = gate(activation, backend=backend)
    y, cache = net.forward(INPUTS[3:])
    net.backward(net.xp.ones_like(y), cache)
    return net.ops.to_host(net.storage.gradients["0.W"])[0, 0].item()


def learn_nand(seed: int = 1, backend: str = "numpy") -> tuple[np.ndarray, np.ndarray, list[float]]:
    """A sigmoid learns NAND from random weights: its outputs before and after, and w1, w2, b as it found them."""
    net = Sequential(Affine(1, W=standard_normal), Sigmoid(), QuadraticCost())
    net.build((2,), backend=backend, dtype="float64", seed=seed)
    optimizer, before = SGD(LEARNING_RATE), outputs(net)
    for _ in range(STEPS):
        _, cache = net.forward(INPUTS, NAND)
        net.backward(1.0, cache)
        optimizer.step(net)
    learned = net.storage.arrays()
    return before, outputs(net), [*learned["0.W"].ravel().tolist(), learned["0.b"].item()]


def print_table(title: str, rows: np.ndarray, digits: int = 0) -> None:
    """A truth table: two inputs, then the outputs."""
    print(f"  x1  x2   {title}")
    for x, y in zip(INPUTS, rows, strict=True):
        print(f"   {x[0]:g}   {x[1]:g}   {'  '.join(f'{value:>5.{digits}f}' for value in y)}")


def show_gates(backend: str) -> dict[str, Any]:
    """Parts 1 and 2: what perceptrons can do when somebody gives them their weights."""
    nand, added = outputs(gate(Step, backend=backend)), outputs(half_adder(backend))
    print("1. A perceptron with weights -2, -2 and bias 3:\n")
    print_table(" NAND", nand)
    print("\n2. Five NANDs in three layers add two bits (1 + 1 is 10 in binary):\n")
    print_table("  sum  carry", added)
    return {"nand": nand[:, 0].tolist(), "half_adder": {"sum": added[:, 0].tolist(), "carry": added[:, 1].tolist()}}


def show_slopes(backend: str) -> dict[str, Any]:
    """Part 3: what a small change of a weight does to the output of a step, and of a sigmoid."""
    weights = [-2.0, -1.999, -1.5, -1.1, -1.001, -0.999, -0.5]
    steps, sigmoids = move_a_weight(Step, weights, backend), move_a_weight(Sigmoid, weights, backend)
    print("\n3. Could a perceptron learn its weights, by changing them a little and keeping what helps?")
    print("   The output for the input (1, 1) while w1 moves away from -2:\n")
    print("       w1    step    sigmoid")
    for w1, step, sigmoid in zip(weights, steps, sigmoids, strict=True):
        print(f"   {w1:>6g}   {step:>5g}   {sigmoid:>8.6f}")
    print("\n   The step shows nothing for long, and then everything at once. So tinynn refuses to train it:\n")
    refusal = ""
    try:
        slope(Step, backend)
    except GradientError as error:
        refusal = str(error)
    print(textwrap.indent(refusal, "      "))

    risen, predicted = sigmoids[1] - sigmoids[0], slope(Sigmoid, backend) * 0.001
    print("\n   The sigmoid answers a small change with a small change. Raising w1 by 0.001 raises its output by")
    print(f"   {risen:.7f}; the slope that its backward pass finds, times 0.001, is {predicted:.7f}.")
    moved = {"w1": weights, "step": steps, "sigmoid": sigmoids}
    return {"moved": moved, "refusal": refusal, "risen": risen, "predicted_rise": predicted}


def show_learning(backend: str) -> dict[str, Any]:
    """Part 4: a sigmoid finds the weights by itself."""
    before, after, weights = learn_nand(backend=backend)
    w1, w2, b = weights
    stepped = outputs(gate(Step, w1, w2, b, backend))
    print(f"\n4. A sigmoid can learn NAND, from random weights, by {STEPS:,} steps down the slope:\n")
    print_table("before  after  wanted", np.hstack([before, after, NAND]), digits=2)
    print(f"\n   It found w1 = {w1:.2f}, w2 = {w2:.2f}, b = {b:.2f}. With a step in place of the sigmoid:\n")
    print_table(" NAND", stepped)
    learned = {"before": before[:, 0].tolist(), "after": after[:, 0].tolist(), "weights": weights}
    return {"learned": learned, "learned_with_step": stepped[:, 0].tolist()}


def main(argv: Sequence[str] | None = None) -> None:
    """The lesson in four parts."""
    parser = argparse.ArgumentParser(description="Perceptrons as logic gates, and why sigmoids are trained instead.")
    parser.add_argument("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="cupy: on a GPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    args = parser.parse_args(argv)

    measured = show_gates(args.backend) | show_slopes(args.backend) | show_learning(args.backend)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
