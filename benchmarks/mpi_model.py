"""What a sum over n ranks costs, as a model of two numbers, and from which size of network more machines pay.

    t(n, bytes) = 2 ceil(log2 n) alpha + 2 (n - 1) / n bytes beta

alpha is what a message takes whatever its size, beta what a byte takes, the additions among it. It is the algorithm of
Rabenseifner: reduce by halves, then gather by doubling.

Source: Hockney, "The communication challenge for MPP: Intel Paragon and Meiko CS-2", 1994; Thakur, Rabenseifner and
Gropp, "Optimization of Collective Communication Operations in MPICH", 2005.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Network", "efficiency", "fitted", "pays_from", "step_seconds"]

FLOPS = 6  # a parameter of an affine layer and a row: multiply and add, forward, for dW, and for dx


class Network(NamedTuple):
    """What connects the ranks: `alpha` seconds a message, `beta` seconds a byte."""

    alpha: float
    beta: float

    def seconds(self, n: int, size: float) -> float:
        """A sum over n ranks of so many bytes."""
        if n == 1:
            return 0.0
        return 2 * math.ceil(math.log2(n)) * self.alpha + 2 * (n - 1) / n * size * self.beta


def fitted(n: int, sizes: Sequence[float], seconds: Sequence[float]) -> Network:
    """alpha and beta with the least squares of the relative errors, neither of them below 0.

    `sizes`: bytes of each sum over n ranks. Errors: ValueError for fewer than two, or for one rank.
    """
    if n < 2 or len(sizes) < 2 or len(sizes) != len(seconds):
        raise ValueError("two sums or more, over two ranks or more")
    t = np.asarray(seconds, float)
    columns = np.array([[Network(1.0, 0.0).seconds(n, size), Network(0.0, 1.0).seconds(n, size)] for size in sizes])
    columns /= t[:, None]
    ones = np.ones(len(t))
    alpha, beta = np.linalg.lstsq(columns, ones, rcond=None)[0]
    if alpha < 0 or beta < 0:  # then the best is at the edge
        only = columns.T @ ones / (columns**2).sum(axis=0)
        errors = ((columns * only - 1) ** 2).sum(axis=0)
        alpha, beta = (only[0], 0.0) if errors[0] < errors[1] else (0.0, only[1])
    return Network(float(alpha), float(beta))


def step_seconds(parameters: float, rows: float, rate: float) -> float:
    """A step of one rank on its rows: `rate` operations a second, in affine layers."""
    return FLOPS * parameters * rows / rate


def efficiency(network: Network, n: int, parameters: float, rows: float, rate: float, itemsize: int = 4) -> float:
    """The share of a step that is not communication, where each of n ranks has so many rows."""
    work = step_seconds(parameters, rows, rate)
    return work / (work + network.seconds(n, itemsize * parameters))


def pays_from(network: Network, n: int, rows: float, rate: float, least: float = 0.5) -> float | None:
    """The number of parameters from which on the efficiency is at least that; None where it never is."""
    low, high = 1e1, 1e12
    if efficiency(network, n, high, rows, rate) < least:
        return None
    for _ in range(100):  # it only rises with the parameters
        middle = math.sqrt(low * high)
        low, high = (low, middle) if efficiency(network, n, middle, rows, rate) >= least else (middle, high)
    return high
