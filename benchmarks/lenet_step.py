"""Times one training step of a small convolutional network in tinynn and in PyTorch, side by side on this machine.

28 x 28 images, 64 a batch: convolution 5 x 5 to 16 channels, ReLU, max pooling 2 x 2, convolution 5 x 5 to 32, ReLU,
max pooling 2 x 2, 128, ReLU, 10, softmax cross-entropy; forward, backward and a step of gradient descent, in float32.

Each library runs in a process of its own for each number of threads and each order in memory. All start from the same
weights, and must find the same losses over five steps. Then they take turns, some steps each, round after round; a
library's time is that of its fastest setting. Writes lenet_step.json and LENET.md. Run it from the root of the
checkout, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks import machine, report
from benchmarks.child import Process
from benchmarks.contenders import thread_environment
from tinynn.init import he
from tinynn.random import generator

__all__ = ["Setting", "first_batch", "main", "markdown", "measure"]

TOLERANCE = 1e-4
CHECKED = 5  # steps
SHAPES = {"W0": (16, 1, 5, 5), "W1": (32, 16, 5, 5), "W2": (512, 128), "W3": (128, 10)}
GOAL = 1.0
"""What share of PyTorch's time tinynn may take at most."""


class Setting(NamedTuple):
    """One way to run a library."""

    side: str
    threads: int
    form: str

    @property
    def label(self) -> str:
        name = {"tinynn": "tinynn", "torch": "PyTorch eager"}[self.side]
        return f"{name}, {self.form}" if self.form else name


def first_batch() -> dict[str, np.ndarray]:
    """One batch and the weights that all start from, of no meaning: a step takes the same time for any numbers."""
    rng = generator(0, "batch")
    batch = {"x": rng.random((64, 1, 28, 28), np.float32), "t": rng.integers(0, 10, 64)}
    return batch | {name: he(generator(0, name), shape).astype(np.float32) for name, shape in SHAPES.items()}


def measure(settings: list[Setting], rounds: int, steps: int) -> dict[str, Any]:
    """The whole benchmark; what the JSON file holds.

    Errors: RuntimeError when a process fails, or does not find the losses of the first one.
    """
    about = {**machine.describe(), "load_before": machine.load_average()}
    with contextlib.ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "batch.npz"
        np.savez(file, allow_pickle=False, **first_batch())
        processes = []
        for side, threads, form in settings:
            arguments = ["benchmarks.lenet_worker", side, str(file), "--form", form]
            processes.append(stack.enter_context(Process(side, arguments, thread_environment(threads))))
        losses = [process.ask(check=CHECKED)["losses"] for process in processes]
        reference = dict(enumerate(losses[0]))
        found = {
            f"{s.label}, {s.threads} threads": dict(enumerate(own)) for s, own in zip(settings, losses, strict=True)
        }
        wrong = report.disagreements(found, reference, TOLERANCE)  # type: ignore[arg-type]
        if wrong:
            raise RuntimeError("the libraries do not compute the same thing\n" + "\n".join(wrong))

        seconds: list[list[list[float]]] = [[] for _ in settings]
        for number in range(rounds + 1):
            for process, own in zip(processes, seconds, strict=True):
                met = process.ask(steps=steps)["seconds"]
                if number:  # the first round warms up
                    own.append(met)
        versions = [process.versions for process in processes]

    rows = [
        {**setting._asdict(), "label": setting.label, "versions": version, **summary(own), "seconds": own}
        for setting, version, own in zip(settings, versions, seconds, strict=True)
    ]
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {**about, "load_after": machine.load_average()},
        "rounds": rounds,
        "steps": steps,
        "settings": rows,
        "ratio": ratio(rows),
        "check": {"tolerance": TOLERANCE, "losses": losses},
    }


def summary(rounds: list[list[float]]) -> dict[str, float]:
    """Over all steps of all rounds."""
    return report.summary([step for steps in rounds for step in steps])


def ratio(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """tinynn's time over PyTorch's, each in its fastest setting: of medians, in pairs by rounds, and of the minima."""
    sides = [[row for row in rows if row["side"] == side] for side in ("tinynn", "torch")]
    if not all(sides):
        return None
    ours, theirs = (min(side, key=lambda row: row["median"]) for side in sides)
    pairs = [median(a) / median(b) for a, b in zip(ours["seconds"], theirs["seconds"], strict=True)]
    return {
        "of_medians": ours["median"] / theirs["median"],
        "paired": median(pairs),
        "of_minima": min(row["min"] for row in sides[0]) / min(row["min"] for row in sides[1]),
    }


def markdown(result: dict[str, Any]) -> str:
    """The result as a page."""
    about = result["machine"]
    lines = [
        "# A step of a convolutional network: tinynn beside PyTorch",
        "",
        "Written by `python -m benchmarks.lenet_step`; do not edit.",
        "",
        "Forward, backward and update on one batch of 64 images 28 x 28: conv 5x5x16, ReLU, max pool 2, conv 5x5x32, "
        f"ReLU, max pool 2, 128, ReLU, 10, softmax cross-entropy; float32. {result['rounds']} rounds of "
        f"{result['steps']} steps, in which all take turns.",
        "",
        f"{about['cpu']}, {about['cores']} cores, {about['system']}, Python {about['python']}; "
        f"load average {about['load_before']} before, {about['load_after']} after; {result['date']}.",
        "",
        "| | threads | median step, ms | fastest step, ms |",
        "|---|---:|---:|---:|",
    ]
    for row in sorted(result["settings"], key=lambda row: row["median"]):
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        cells = [f"{row['label']} ({versions})", str(row["threads"])]
        cells += [f"{row[name] * 1e3:.2f}" for name in ("median", "min")]
        lines.append(f"| {' | '.join(cells)} |")
    if result["ratio"] is not None:
        ours = result["ratio"]
        met = "met" if max(ours["of_medians"], ours["paired"]) <= GOAL else "missed"
        lines += [
            "",
            f"- Goal: at most {GOAL:g} times the time of PyTorch, each in its fastest setting. Measured "
            f"{ours['of_medians']:.2f}, in pairs {ours['paired']:.2f}, by fastest steps {ours['of_minima']:.2f}: "
            f"**{met}**.",
        ]
    lines += [
        "",
        f"Before the timing all made the same {CHECKED} steps from the same weights; their losses before, between and "
        f"after are within {result['check']['tolerance']:g} of one another.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lenet_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=30, help="after the warm-up (default 30)")
    parser.add_argument("--steps", type=int, default=20, help="in each round (default 20)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder (default benchmarks/)")
    args = parser.parse_args(arguments)
    if min(args.rounds, args.steps, *args.threads) < 1:
        parser.error("--rounds, --steps and --threads must be at least 1")

    settings = [Setting("tinynn", threads, "") for threads in args.threads]
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is left out: the package torch is not installed", file=sys.stderr)
    else:
        forms = ("contiguous_format", "channels_last")
        settings += [Setting("torch", threads, form) for threads in args.threads for form in forms]
    result = measure(settings, args.rounds, args.steps)
    page = markdown(result)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "lenet_step.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "LENET.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
