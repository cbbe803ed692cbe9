"""How well `examples/mnist_cnn.py` reads, and how long it learns, over several seeds.

    python -m benchmarks.cnn_accuracy            three runs, one after the other: some five minutes each on two cores
    python -m benchmarks.cnn_accuracy --quick    a few images and epochs, to see that it runs; no goal is judged

Writes `cnn_accuracy.json` and, from it, `CNN.md`. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import tinynn
from benchmarks.machine import describe, in_words, load_average, restart_unforced
from benchmarks.mnist_accuracy import QUICK, run

__all__ = ["main", "markdown"]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "mnist_cnn.py"
THREADS = 2
ACCURACY = 0.994  # the median over the seeds must reach it
SECONDS = 600.0  # no run may take longer


def markdown(result: dict[str, Any]) -> str:
    """The result as a page."""
    about = result["machine"]
    lines = [
        "# How well the convolutional network reads",
        "",
        "Written by `python -m benchmarks.cnn_accuracy`; do not edit.",
        "",
        f"{'**A quick run: few images and epochs, no goal judged.** ' if result['quick'] else ''}"
        "`examples/mnist_cnn.py` on the 10,000 test images of MNIST, after the last epoch. Seconds: a whole run from "
        f"reading the files to the pictures, {THREADS} BLAS threads, one run at a time.",
        "",
        f"{in_words(about)}, NumPy {result['numpy']}, tinynn {result['tinynn']}; load average "
        f"{about['load_before']} before; {result['date']}.",
        "",
        "| seed | epochs | test accuracy, % | misread | seconds |",
        "|---:|---:|---:|---:|---:|",
    ]
    for one in result["runs"]:
        seed, epochs, misread = one["seed"], one["settings"]["epochs"], one["misread"]
        lines.append(f"| {seed} | {epochs} | {100 * one['test_accuracy']:.2f} | {misread} | {one['seconds']:.0f} |")
    lines += ["", f"Median: {result['median']:.2%}. Longest run: {result['longest']:.0f} s."]
    if result["met"] is not None:
        lines += [
            "",
            f"Goal: a median of at least {ACCURACY:.1%}, and no run over {SECONDS:.0f} s: "
            f"**{'met' if result['met'] else 'missed'}**.",
        ]
    return "\n".join(lines) + "\n"


def measure(seeds: int, quick: bool) -> dict[str, Any]:
    """Runs the example once for each seed; what the JSON file holds."""
    about = {**describe(), "load_before": load_average()}
    runs = []
    for seed in range(seeds):
        runs.append(run(QUICK if quick else (), seed, EXAMPLE, THREADS))
        last = runs[-1]
        print(f"seed {seed}: {last['test_accuracy']:.2%} in {last['seconds']:.0f} s", file=sys.stderr, flush=True)
    middle, longest = median(one["test_accuracy"] for one in runs), max(one["seconds"] for one in runs)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "machine": about,
        "numpy": np.__version__,
        "tinynn": tinynn.__version__,
        "runs": runs,
        "median": middle,
        "longest": longest,
        "met": None if quick else middle >= ACCURACY and longest <= SECONDS,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cnn_accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few images, two epochs: to see that it runs")
    parser.add_argument("--seeds", type=int, default=3, help="so many runs (default 3)")
    parser.add_argument("--out", type=Path, help="folder for the two files (default benchmarks/; none with --quick)")
    args = parser.parse_args(arguments)
    if args.seeds < 1:
        parser.error("--seeds must be at least 1")
    result = measure(args.seeds, args.quick)
    page = markdown(result)
    folder = args.out or (None if args.quick else Path(__file__).parent)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cnn_accuracy.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / "CNN.md").write_text(page)
    print(page)
    return 1 if result["met"] is False else 0


if __name__ == "__main__":
    restart_unforced()
    sys.exit(main())
