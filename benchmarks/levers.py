"""What each lever of speed gives: Nielsen's epoch with all of them, and with one of them taken away.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.levers            a minute; writes LEVERS.md
    OPENBLAS_NUM_THREADS=1 python -m benchmarks.levers --quick    to see that it runs; writes nothing

Each lever is measured in many pairs of short epochs, without it and with it, one directly behind the other in one
process and in changing order, so that a slow moment of the machine meets both. The gain is the median of the
differences within the pairs. The first row takes nothing away: what is not larger than it means nothing. The losses of
both must agree to 1e-4, since a lever changes how a step is computed and not what.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks import machine
from tinynn import SGD, Affine, QuadraticCost, Sequential, Sigmoid, datasets, fit
from tinynn.backend import NumpyOps, Ops
from tinynn.backend.verbs import straight
from tinynn.init import standard_normal
from tinynn.network.recorder import Recorder
from tinynn.training import examples

__all__ = ["LEVERS", "main", "measure"]

BATCH, ETA = 10, 3.0


def asked_where_at_once(x: np.ndarray, dtype: np.dtype, name: str) -> None:
    for start in range(0, len(x), examples.BLOCK):
        assert not len(np.argwhere(~np.isfinite(x[start : start + examples.BLOCK].astype(dtype, copy=False))))


def subtract_at_labels(self: QuadraticCost, scores: Any, targets: Any, weights: Any = None) -> tuple[Any, Any]:
    self.has_labels(scores, targets)
    diff = np.subtract(scores, self.off, out=self.empty("diff", scores.shape))
    diff[np.arange(len(diff)), targets.astype(np.uint32)] -= self.on - self.off
    flat = diff.reshape(-1)
    return np.dot(flat, flat) / self.dtype.type(2 * len(scores)), (diff, 1 / len(scores))


def not_aligned(self: NumpyOps, size: int, dtype: Any) -> np.ndarray:
    """An array 16 bytes behind the start of a cache line, as NumPy gives it for large sizes."""
    room = np.zeros(size * np.dtype(dtype).itemsize + 128, np.uint8)
    start = -room.ctypes.data % 64 + 16
    return room[start : start + size * np.dtype(dtype).itemsize].view(dtype)


@straight
def sigmoid(self: Ops, x: Any, out: Any, work: Any) -> Any:
    self.xp.minimum(x, 40, out=out)
    self.xp.exp(out, out=out)
    self.xp.add(out, 1, out=work)
    return self.xp.divide(out, work, out=out)


@straight
def sigmoid_backward(self: Ops, dy: Any, y: Any, out: Any) -> Any:
    self.xp.subtract(1, y, out=out)
    self.xp.multiply(out, y, out=out)
    return self.xp.multiply(out, dy, out=out)


@contextlib.contextmanager
def python_numbers() -> Iterator[None]:
    with patch.object(Ops, "sigmoid", sigmoid), patch.object(Ops, "sigmoid_backward", sigmoid_backward):
        yield


@straight
def np_matmul(self: NumpyOps, a: Any, b: Any, out: Any) -> Any:
    return self.xp.matmul(a, b, out=out)


def refuse(self: Recorder, *args: Any) -> None:
    raise RuntimeError("nothing is recorded")


LEVERS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "nothing: what the measurement itself scatters": contextlib.nullcontext,
    "data asked whether it is finite before it is asked where not": lambda: patch.object(
        examples, "check_finite", asked_where_at_once
    ),
    "rows of labels from a table, not by subtracting at each label": lambda: patch.object(
        QuadraticCost, "forward", subtract_at_labels
    ),
    "a step's array calls recorded and replayed": lambda: patch.object(Recorder, "__init__", refuse),
    "constants of the activations as 0-d arrays, not Python numbers": python_numbers,
    "np.dot, not np.matmul": lambda: patch.object(NumpyOps, "matmul", np_matmul),
    "flat vectors that begin a cache line": lambda: patch.object(NumpyOps, "zeros", not_aligned),
}


def epoch(x: np.ndarray, labels: np.ndarray, seed: int) -> tuple[float, float]:
    """Microseconds a step of one call of `fit`, and the loss of the epoch; every call starts from the same network."""
    layers = [Affine(30, standard_normal, standard_normal), Sigmoid(), Affine(10, standard_normal, standard_normal)]
    net = Sequential(*layers, Sigmoid(), QuadraticCost()).build((x.shape[1],), seed=1)
    started = time.perf_counter()
    history = fit(net, SGD(ETA), (x, labels), epochs=1, batch_size=BATCH, seed=seed, progress=False)
    return (time.perf_counter() - started) * 1e6 * BATCH / len(x), history.loss[0]


def measure(x: np.ndarray, labels: np.ndarray, rounds: int) -> dict[str, dict[str, float]]:
    """For each lever the medians, in microseconds a step: without it, with it, and the gain within a pair."""
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in LEVERS}
    epoch(x, labels, 0)
    for number in range(rounds):
        for name, taken_away in LEVERS.items():
            times, losses = {}, {}
            for with_it in (number % 2 == 0, number % 2 == 1):
                with contextlib.nullcontext() if with_it else taken_away():
                    times[with_it], losses[with_it] = epoch(x, labels, number)
            if abs(losses[True] - losses[False]) > 1e-4:
                raise RuntimeError(f"{name}: the loss is {losses[True]} with it, and {losses[False]} without")
            pairs[name].append((times[False], times[True]))
    return {
        name: {
            "without": median(without for without, _ in found),
            "with": median(with_it for _, with_it in found),
            "gain": median(without - with_it for without, with_it in found),
            "low": quartile(found, 1),
            "high": quartile(found, 3),
        }
        for name, found in pairs.items()
    }


def quartile(pairs: list[tuple[float, float]], k: int) -> float:
    """The k-th quartile of the gains."""
    return float(np.quantile([without - with_it for without, with_it in pairs], k / 4))


def table(found: dict[str, dict[str, float]]) -> str:
    lines = ["| lever | without, us | with, us | gain, us | quartiles | |", "|---|---:|---:|---:|---:|---:|"]
    for name, figures in found.items():
        cells = " | ".join(f"{figures[key]:.1f}" for key in ("without", "with", "gain", "low", "high"))
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2,000 rows, two rounds; writes nothing")
    parser.add_argument("--rounds", type=int, default=61, help="pairs for each lever (%(default)s)")
    args = parser.parse_args(arguments)
    train, _ = datasets.mnist()
    rows = 2_000 if args.quick else 10_000
    x = (train.images[:rows].reshape(rows, -1) / 255).astype(np.float32)
    before = machine.load_average()
    text = table(measure(x, train.labels[:rows], 2 if args.quick else args.rounds))
    print(text)
    if not args.quick:
        where = machine.in_words(machine.describe())
        load = f"load average {before} before, {machine.load_average()} after"
        text = f"""# What each lever of speed gives

Written by `python -m benchmarks.levers`; do not edit. Microseconds a step of Nielsen's network, by one call of `fit` on
{rows:,} rows. Each lever is taken away and put back in {args.rounds} pairs of epochs; medians and quartiles.

{text}

{where}, NumPy {np.__version__}; {load}; {datetime.date.today().isoformat()}.
"""
        Path(__file__).with_name("LEVERS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    machine.restart_unforced()
    main()
