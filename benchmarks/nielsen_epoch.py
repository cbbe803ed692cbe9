"""Times one epoch of Nielsen's network in tinynn and its peers, side by side on this machine.

Each contender runs in a process of its own. First a short calibration finds each one's best number of threads and form;
then all make the same steps and must report the same losses; then they take turns, one epoch each, round after round.
Writes nielsen_epoch.json and NIELSEN.md. Run it from the root of the checkout, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import itertools
import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.child import Child
from benchmarks.contenders import BATCH, CATALOGUE, ETA
from tinynn import datasets
from tinynn.init import standard_normal
from tinynn.random import generator

__all__ = ["Settings", "initial_params", "main", "measure", "reference_losses"]

TOLERANCE = 1e-4
PARTS = {"W1": (784, 30), "b1": (30,), "W2": (30, 10), "b2": (10,)}


@dataclass(frozen=True)
class Settings:
    """How much is measured. `rows`: of an epoch; `short_rows`: of a calibration epoch. Both are multiples of 10."""

    rows: int = 50_000
    rounds: int = 5
    short_rows: int = 10_000
    short_epochs: int = 5
    check_steps: int = 50
    threads: tuple[int, ...] = (1, 2)
    quick: bool = False


QUICK = Settings(rows=10_000, rounds=3, short_rows=3_000, quick=True)


def initial_params() -> dict[str, np.ndarray]:
    """Nielsen's start: all weights and biases from N(0, 1), as float32."""
    return {name: standard_normal(generator(0, name), shape).astype(np.float32) for name, shape in PARTS.items()}


def reference_losses(params: dict[str, np.ndarray], x: np.ndarray, t: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """What every contender must find, in float64 and in the plainest words.

    Shapes: x (N, 784), t (N, 10), rows (K, 10): the batches of K steps. Returns the loss of the first batch before the
    steps and after, and the mean loss during them.
    """
    W1, b1, W2, b2 = (params[name].astype(np.float64) for name in PARTS)

    def loss(batch: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        a = 1 / (1 + np.exp(-(x[batch] @ W1 + b1)))
        y = 1 / (1 + np.exp(-(a @ W2 + b2)))
        return float(((y - t[batch]) ** 2).sum()) / (2 * len(batch)), a, y

    before, met = loss(rows[0])[0], []
    for batch in rows:
        value, a, y = loss(batch)
        met.append(value)
        dz2 = (y - t[batch]) / len(batch) * y * (1 - y)
        dz1 = dz2 @ W2.T * a * (1 - a)
        W2, b2 = W2 - ETA * a.T @ dz2, b2 - ETA * dz2.sum(axis=0)
        W1, b1 = W1 - ETA * x[batch].T @ dz1, b1 - ETA * dz1.sum(axis=0)
    return {"before": before, "during": float(np.mean(met)), "after": loss(rows[0])[0]}


def calibrate(name: str, folder: Path, settings: Settings) -> list[dict[str, Any]]:
    """Seconds per step for each number of threads and each form, the fastest first; they take turns too."""
    counts = settings.threads if CATALOGUE[name].calibrated else (None,)
    trials: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        children = []
        for threads, form in itertools.product(counts, CATALOGUE[name].forms):
            child = Child(name, folder, threads=threads, form=form, rows=settings.short_rows)
            children.append(stack.enter_context(child))
            child.ask(do="epoch", seed=0)  # compiles, and touches all memory once
            trials.append({"threads": threads, "form": form, "seconds_per_step": math.inf})
        for seed in range(1, 1 + settings.short_epochs):
            for trial, child in zip(trials, children, strict=True):
                seconds = child.ask(do="epoch", seed=seed)["seconds"] * BATCH / settings.short_rows
                trial["seconds_per_step"] = min(trial["seconds_per_step"], seconds)
    return sorted(trials, key=lambda trial: trial["seconds_per_step"])


def measure(x: np.ndarray, labels: np.ndarray, names: list[str], settings: Settings) -> dict[str, Any]:
    """The whole benchmark on images x uint8 (N, 784) and labels (N,); what the JSON file holds.

    Errors: RuntimeError when a contender fails, or its losses are not those of the reference.
    """
    x, labels = x[: settings.rows], labels[: settings.rows]
    about = {**machine.describe(), "load_before": machine.load_average()}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        params = initial_params()
        for part, array in {"x": x, "labels": labels, **params}.items():
            np.save(folder / f"{part}.npy", array)

        calibration = {}
        for name in names:
            calibration[name] = calibrate(name, folder, settings)
            best = calibration[name][0]
            threads = best["threads"] or "its own choice"
            say(f"{name}: threads {threads}, {best['form'] or '-'}, {best['seconds_per_step'] * 1e6:.0f} us a step")

        children = {}
        for name in names:
            best = calibration[name][0]
            children[name] = stack.enter_context(Child(name, folder, threads=best["threads"], form=best["form"]))

        order = generator(0, "check").permutation(len(x))[: settings.check_steps * BATCH]
        rows = order.reshape(-1, BATCH)
        expected = reference_losses(params, x / 255.0, np.eye(10)[labels], rows)
        checks = {name: child.ask(do="check", rows=rows.tolist()) for name, child in children.items()}
        wrong = report.disagreements(checks, expected, TOLERANCE)
        if wrong:
            raise RuntimeError("the contenders do not compute the same thing\n" + "\n".join(wrong))

        for child in children.values():
            child.ask(do="epoch", seed=0)
        epochs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(1, settings.rounds + 1):
            for name, child in children.items():
                epochs[name].append(child.ask(do="epoch", seed=number))
            say(f"round {number}: " + ", ".join(f"{name} {epochs[name][-1]['seconds']:.3f} s" for name in names))

    seconds = {name: [epoch["seconds"] for epoch in epochs[name]] for name in names}
    contenders = {name: described(name, children[name], calibration[name][0], epochs[name]) for name in names}
    return {
        "date": datetime.date.today().isoformat(),
        "quick": settings.quick,
        "machine": {**about, "load_after": machine.load_average()},
        "rows": len(x),
        "batch": BATCH,
        "rounds": settings.rounds,
        "contenders": contenders,
        "ratios": report.goals(seconds),
        "calibration": calibration,
        "check": {"steps": len(rows), "tolerance": TOLERANCE, "reference": expected, "losses": checks},
    }


def described(name: str, child: Child, best: dict[str, Any], epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """A contender's part of the result."""
    part = {
        "label": CATALOGUE[name].label,
        "versions": child.versions,
        "threads": best["threads"],
        "form": best["form"],
        **report.summary([epoch["seconds"] for epoch in epochs]),
        "cpu_median": median(epoch["cpu_seconds"] for epoch in epochs),
        "epochs": epochs,
    }
    if "history_seconds" in epochs[0]:
        part["history_median"] = median(epoch["history_seconds"] for epoch in epochs)
    return part


def say(line: str) -> None:
    """Shows progress, apart from the result."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nielsen_epoch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the epoch, three rounds: to see that it runs")
    parser.add_argument("--rounds", type=int, help="epochs each after the warm-up (default 5; 3 with --quick)")
    parser.add_argument("--only", nargs="+", choices=CATALOGUE, metavar="NAME", help=f"some of {', '.join(CATALOGUE)}")
    parser.add_argument("--out", type=Path, help="folder for the two files (default benchmarks/; none with --quick)")
    args = parser.parse_args(arguments)
    if args.rounds is not None and args.rounds < 1:
        parser.error("--rounds must be at least 1")

    settings = QUICK if args.quick else Settings()
    if args.rounds:
        settings = Settings(**{**vars(settings), "rounds": args.rounds})
    names = []
    for name in args.only or CATALOGUE:
        if "OPENBLAS_CORETYPE" in CATALOGUE[name].environment and not machine.has_avx512():
            say(f"{name} is left out: this processor has no AVX-512")
            continue
        if importlib.util.find_spec(CATALOGUE[name].package) is None:
            say(f"{name} is left out: the package {CATALOGUE[name].package} is not installed")
        else:
            names.append(name)

    train, _ = datasets.mnist()
    result = measure(train.images.reshape(-1, 784), train.labels, names, settings)
    page = report.markdown(result)
    folder = args.out or (None if args.quick else Path(__file__).parent)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nielsen_epoch.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / "NIELSEN.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
