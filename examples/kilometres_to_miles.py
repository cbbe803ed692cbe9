"""Lesson: the smallest network there is, one weight, learns to turn kilometres into miles.

    output = weight * input

It is told one thing: 100 km are 62.137 miles. It starts from a wrong weight, looks at its error, and corrects itself.
The question of the lesson is by how much. First by a fixed step, then by what the error asks for; and the second turns
out to be one step of gradient descent, the rule by which every network in this library learns.

Source: Rashid, "Make Your Own Neural Network", 2016, part 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinynn import SGD, Affine, QuadraticCost, Sequential

KILOMETRES, MILES = 100.0, 62.137
START = 0.5
FIXED_STEP = 0.05


class Attempt(NamedTuple):
    """One line of the table; all but the weight and its correction are distances in km (input) or miles."""

    input: float
    weight: float
    output: float
    wanted: float
    error: float
    correction: float


def attempt(weight: float) -> Attempt:
    """Tries a weight on the known pair, correcting nothing yet."""
    output = weight * KILOMETRES
    return Attempt(KILOMETRES, weight, output, MILES, MILES - output, 0.0)


def by_fixed_steps(weight: float = START) -> list[Attempt]:
    """Raises the weight by 0.05 as long as the output is too small."""
    attempts = [attempt(weight)]
    while attempts[-1].error > 0:
        attempts[-1] = attempts[-1]._replace(correction=FIXED_STEP)
        attempts.append(attempt(attempts[-1].weight + FIXED_STEP))
    return attempts


def by_error(weight: float = START) -> list[Attempt]:
    """Corrects the weight by error / input: (weight + error / input) * input = output + error = wanted."""
    first = attempt(weight)
    first = first._replace(correction=first.error / first.input)
    return [first, attempt(first.weight + first.correction)]


def by_gradient_descent(weight: float = START, backend: str = "numpy") -> tuple[float, float]:
    """One step of gradient descent with a layer and a loss of the library: (dL/dweight, the weight after the step).

    The loss is L = (output - wanted)^2 / 2, so dL/dweight = (output - wanted) * input = -error * input, and

        weight - lr * dL/dweight = weight + lr * error * input = weight + error / input    for lr = 1 / input^2.
    """
    layer = Affine(1, W=np.array([[weight]]))
    net = Sequential(layer, QuadraticCost()).build((1,), backend=backend, dtype="float64")
    _, cache = net.forward(np.array([[KILOMETRES]]), np.array([[MILES]]))
    net.backward(1.0, cache)
    slope = net.ops.to_host(layer.dW).item()
    layer.db[...] = 0  # 0 km are 0 miles: the bias of y = x W + b is to stay 0
    SGD(lr=1 / KILOMETRES**2).step(net)
    return slope, net.ops.to_host(layer.W).item()


def print_table(attempts: list[Attempt]) -> None:
    """One line an attempt."""
    print("   input    weight    output    wanted     error  correction")
    for a in attempts:
        numbers = f"{a.input:>8g}  {a.weight:>8.5f}  {a.output:>8.3f}  {a.wanted:>8.3f}  {a.error:>8.3f}"
        print(f"{numbers}  {a.correction:>+10.5f}" if a.correction else f"{numbers}           -")


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the three ways, and what each found."""
    parser = argparse.ArgumentParser(description="One weight learns to turn kilometres into miles.")
    parser.add_argument("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="cupy: on a GPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    args = parser.parse_args(argv)

    fixed, exact = by_fixed_steps(), by_error()
    print(f"1. The output is too small? Raise the weight by {FIXED_STEP}, and look again.\n")
    print_table(fixed)
    print(
        f"\nIt jumped over the right weight: the last output is {-fixed[-1].error:.3f} miles too large. Smaller steps"
    )
    print("would come closer, but take longer. Of the error, only the sign was used, and not the size.\n")

    print("2. Correct the weight by error / input.\n")
    print_table(exact)
    print(f"\nOne correction, and the weight is {exact[-1].weight:.5f}: a large error asks for a large step.\n")

    slope, weight = by_gradient_descent(backend=args.backend)
    difference = abs(weight - exact[-1].weight)
    print("3. The same as gradient descent: Affine(1), QuadraticCost(), SGD(lr = 1 / input^2).\n")
    print(f"   dL/dweight, as the network found it:  {slope:.1f}, which is -error * input")
    print(f"   the step:  weight = {START} - {1 / KILOMETRES**2:g} * ({slope:.1f}) = {weight:.5f}")
    print(f"   difference from the weight of part 2:  {difference:.1e}\n")
    print(f"So a marathon of 42.195 km is {42.195 * weight:.3f} miles, from one example and no rule.")

    if args.json:
        measured = {
            "fixed_steps": [a._asdict() for a in fixed],
            "error_over_input": [a._asdict() for a in exact],
            "gradient_descent": {"slope": slope, "weight": weight, "difference": difference},
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
