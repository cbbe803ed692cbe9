"""`tinynn.sklearn.MLPClassifier` timed beside scikit-learn's, on the 1,797 digits that scikit-learn brings.

    python -m benchmarks.estimators              a minute
    python -m benchmarks.estimators --rounds 15
    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m benchmarks.estimators --cpu    on a busy machine

Each contender fits the same number of epochs with the same random_state, all in turns; the figure is the median. What
backend="llvm" compiles, once for a network's shapes in a process, is told apart: it is in the first fit alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import sklearn
import sklearn.neural_network as theirs
from sklearn.datasets import load_digits

import tinynn.sklearn as ours
from tinynn.version import __version__

CONTENDERS: dict[str, Callable[..., Any]] = {
    "scikit-learn": lambda **settings: theirs.MLPClassifier(**settings),
    "tinynn, numpy": lambda **settings: ours.MLPClassifier(**settings),
    "tinynn, llvm": lambda **settings: ours.MLPClassifier(backend="llvm", **settings),
}
JOBS: dict[str, dict[str, Any]] = {
    "adam, 64-100-10, batch 200": {},
    "adam, 64-100-10, batch 32": {"batch_size": 32},
    "sgd, 64-100-10, batch 32": {"solver": "sgd", "batch_size": 32, "learning_rate_init": 0.01},
    "adam, 64-256-256-10, batch 200": {"hidden_layer_sizes": (256, 256)},
}


def seconds(
    clock: Callable[[], float], make: Callable[..., Any], settings: dict[str, Any], x: np.ndarray, labels: np.ndarray
) -> float:
    """The time of one fit by that clock."""
    estimator = make(random_state=0, tol=0.0, n_iter_no_change=10**6, **settings)
    started = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, and is not meant to
        estimator.fit(x, labels)
    return clock() - started


def measure(
    rounds: int, epochs: int, dtype: str, clock: Callable[[], float]
) -> dict[str, dict[str, tuple[float, float]]]:
    """By job and contender the first fit, and the median of those after it."""
    digits: Any = load_digits()
    x, labels = digits.data, digits.target
    x = (x / 16).astype(dtype)
    found = {}
    for job, settings in JOBS.items():
        times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for _ in range(rounds + 1):
            for name, make in CONTENDERS.items():
                times[name].append(seconds(clock, make, {"max_iter": epochs, **settings}, x, labels))
        found[job] = {name: (taken[0], median(taken[1:])) for name, taken in times.items()}
    return found


def table(found: dict[str, dict[str, tuple[float, float]]], epochs: int) -> str:
    """Milliseconds of a fit, as Markdown; in brackets the share of scikit-learn's."""
    lines = [f"| fit, {epochs} epochs | {' | '.join(CONTENDERS)} | first fit, llvm |", "|---|" + "---:|" * 4]
    for job, times in found.items():
        reference = times["scikit-learn"][1]
        cells = [f"{1000 * taken:.0f} ms ({taken / reference:.2f})" for _, taken in times.values()]
        lines.append(f"| {job} | {' | '.join(cells)} | {1000 * times['tinynn, llvm'][0]:.0f} ms |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and prints a table for each dtype."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="fits of each contender, after the first")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--cpu", action="store_true", help="the processor's time, of all threads, not the wall clock's")
    given = parser.parse_args(arguments)
    clock, kind = (time.process_time, "processor time") if given.cpu else (time.perf_counter, "wall clock")
    print(f"scikit-learn {sklearn.__version__}, tinynn {__version__}, NumPy {np.__version__}")
    print(f"median of {given.rounds} rounds, {kind}")
    for dtype in ("float64", "float32"):
        print(f"\n{dtype}\n\n{table(measure(given.rounds, given.epochs, dtype, clock), given.epochs)}")


if __name__ == "__main__":
    main()
