"""How well `examples/mnist.py` reads, over several seeds: the figures that the README and the lesson quote.

    python -m benchmarks.mnist_accuracy            all settings, about ten minutes on two idle cores
    python -m benchmarks.mnist_accuracy --quick    a few images and epochs, to see that it runs; no goal is judged
    python -m benchmarks.mnist_accuracy --only "--book rashid"    one setting again; the others stay as they were

Every run is a process of its own with one BLAS thread. Writes `mnist_accuracy.json` and, from it, `MNIST.md`. Exits
with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import tinynn
from benchmarks.machine import describe, in_words, load_average, restart_unforced, unforced

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "mnist.py"
QUICK = ("--limit", "1000", "--epochs", "2")
DEAD = 0.05  # an output that names fewer than this share of its own digit's images


@dataclass(frozen=True)
class Case:
    """One setting: what the example is told, for which seeds, and what is expected of which figure.

    `figure`: "test_accuracy", after the last epoch, or "best_accuracy", that of the best one, as the books report.
    `goal`: for `over` ("median" or "max") of that figure over the seeds; `below` True turns it into an upper bound.
    """

    arguments: str
    seeds: int
    figure: str
    goal: float
    over: str = "median"
    below: bool = False


CASES = (
    Case("", 5, "test_accuracy", 0.982),
    Case("--book nielsen", 20, "best_accuracy", 0.948),
    Case("--book nielsen --eta 20", 3, "best_accuracy", 0.94, below=True),
    Case("--book nielsen --hidden 100", 18, "best_accuracy", 0.96, over="max"),
    Case("--book nielsen --weights lecun", 3, "best_accuracy", 0.955),
    Case("--book nielsen --weights lecun --hidden 100", 3, "best_accuracy", 0.975),
    Case("--book rashid", 5, "test_accuracy", 0.96),
)


def run(arguments: Sequence[str], seed: int, example: Path = EXAMPLE, threads: int = 1) -> dict[str, Any]:
    """One run of an example, in a folder that is thrown away; what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder, "measured.json")
        command = [
            sys.executable,
            str(example),
            *arguments,
            "--seed",
            str(seed),
            "--out",
            folder,
            "--json",
            str(measured),
        ]
        done = subprocess.run(
            command,
            env={**unforced(os.environ), "OPENBLAS_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        return json.loads(measured.read_text())


def summarise(case: Case, runs: list[dict[str, Any]], judged: bool) -> dict[str, Any]:
    """The figures of one setting over its seeds; `met` is None when the goal is not judged."""
    figures = [measured[case.figure] for measured in runs]
    spread = {"median": median(figures), "min": min(figures), "max": max(figures)}
    reached = spread[case.over]
    return {
        "arguments": case.arguments,
        "settings": runs[0]["settings"],
        "seeds": [measured["seed"] for measured in runs],
        "figure": case.figure,
        "figures": figures,
        **spread,
        "dead_outputs": [sum(share < DEAD for share in measured["digits"]["read_right"]) for measured in runs],
        "seconds": median(measured["seconds"] for measured in runs),
        "goal": case.goal,
        "over": case.over,
        "below": case.below,
        "met": (reached < case.goal if case.below else reached >= case.goal) if judged else None,
    }


def markdown(result: dict[str, Any]) -> str:
    """The result as a page."""
    about = result["machine"]
    lines = [
        "# How well the MNIST example reads",
        "",
        "Written by `python -m benchmarks.mnist_accuracy`; do not edit.",
        "",
        f"{'**A quick run: few images and epochs, no goal judged.** ' if result['quick'] else ''}"
        "Accuracy on the 10,000 test images, in %, over seeds 0, 1, 2, ... *last*: after the last epoch. *best*: after "
        "the epoch with the highest, which is how the books report; to pick an epoch by the test images flatters. "
        f"A *dead* output names fewer than {DEAD:.0%} of its own digit's images. Seconds: a whole run from reading the "
        f"files to the pictures, one BLAS thread, {result['jobs']} runs at a time.",
        "",
        "| `examples/mnist.py` | epoch | seeds | median | least | most | runs with dead outputs | s a run | goal |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for case in result["cases"]:
        bound = f"{case['over']} {'<' if case['below'] else '>='} {100 * case['goal']:.1f}"
        cells = [
            f"`{case['arguments']}`" if case["arguments"] else "(no options)",
            "last" if case["figure"] == "test_accuracy" else "best",
            str(len(case["seeds"])),
            *(f"{100 * case[name]:.2f}" for name in ("median", "min", "max")),
            str(sum(dead > 0 for dead in case["dead_outputs"])),
            f"{case['seconds']:.0f}",
            bound if case["met"] is None else f"{bound}: **{'met' if case['met'] else 'missed'}**",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Seed by seed, in brackets the number of dead outputs:", ""]
    for case in result["cases"]:
        each = (
            f"{100 * figure:.2f}{f' ({dead})' if dead else ''}"
            for figure, dead in zip(case["figures"], case["dead_outputs"], strict=True)
        )
        lines.append(f"- {case['arguments'] or '(no options)'}: {', '.join(each)}")
    lines += [
        "",
        f"{in_words(about)}, NumPy {result['numpy']}, tinynn {result['tinynn']}; load average "
        f"{about['load_before']} before, {about['load_after']} after; {result['date']}.",
    ]
    return "\n".join(lines) + "\n"


def measure(chosen: Sequence[Case], quick: bool, jobs: int) -> dict[str, Any]:
    """Runs the settings with all their seeds, `jobs` at a time."""
    machine = describe() | {"load_before": load_average()}
    extra = QUICK if quick else ()
    with ThreadPoolExecutor(jobs) as pool:
        started = [
            (
                case,
                [
                    pool.submit(run, [*case.arguments.split(), *extra], seed)
                    for seed in range(1 if quick else case.seeds)
                ],
            )
            for case in chosen
        ]
        cases = []
        for case, futures in started:
            cases.append(summarise(case, [future.result() for future in futures], judged=not quick))
            print(f"{case.arguments or '(no options)'}: median {cases[-1]['median']:.4f}", file=sys.stderr, flush=True)
    return {
        "quick": quick,
        "jobs": jobs,
        "date": datetime.now(UTC).date().isoformat(),
        "tinynn": tinynn.__version__,
        "numpy": np.__version__,
        "machine": machine | {"load_after": load_average()},
        "cases": cases,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes, and says whether all goals were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images and epochs")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, metavar="DIR")
    only = [case.arguments for case in CASES]
    parser.add_argument("--only", choices=only, help="this setting; the others are kept from the last result")
    args = parser.parse_args(argv)
    result = measure([case for case in CASES if args.only in (None, case.arguments)], args.quick, args.jobs)
    if args.only is not None:
        before = json.loads((args.out / "mnist_accuracy.json").read_text())
        kept = [case for case in before["cases"] if case["arguments"] != args.only]
        result["cases"] = sorted(kept + result["cases"], key=lambda case: only.index(case["arguments"]))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "mnist_accuracy.json").write_text(json.dumps(result, indent=2) + "\n")
    (args.out / "MNIST.md").write_text(markdown(result))
    print(f"written: {args.out / 'MNIST.md'}")
    return int(any(case["met"] is False for case in result["cases"]))


if __name__ == "__main__":
    restart_unforced()
    sys.exit(main())
