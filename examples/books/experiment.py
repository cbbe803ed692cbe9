"""What the scripts of the four books share: an experiment, its runs, and the table that stands on the book's page.

A script names its experiments, each with the figure that the book reports, and calls `main`. That runs them, prints
them beside the book's, and on request (--write) puts the figures into a JSON file beside the script and the table into
the book's page, docs/books/NAME.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

# Read by NumPy when it is loaded. In matrix products as small as these, several threads mostly wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import tinynn
from tinynn import TinynnError, datasets

HERE = Path(__file__).resolve().parent
PAGES = HERE.parents[1] / "docs" / "books"
TABLE = re.compile(r"(<!-- experiments: .*? -->\n).*?(<!-- end of the experiments -->)", re.DOTALL)


class Setup(NamedTuple):
    """How a run is to be made; `quick`: with a few images and epochs, to see that it runs."""

    seed: int
    backend: str
    quick: bool

    def few(self, number: int, when_quick: int) -> int:
        """The number; of a quick run, the other one if it is smaller."""
        return min(number, when_quick) if self.quick else number


@dataclass(frozen=True)
class Experiment:
    """One experiment: `run` measures figures by name, `ours` puts them into words, as `book` is what the book says.

    `ours` is a format string over the figures, each the median over the seeds, with the least and the most behind it.
    """

    name: str
    where: str
    what: str
    book: str
    ours: str
    run: Callable[[Setup], dict[str, float]]
    seeds: int = 1


class Spread(list[float]):
    """One figure over several seeds, printed as its median, and the least and the most where they differ."""

    def __format__(self, form: str) -> str:
        middle, least, most = (format(value, form) for value in (median(self), min(self), max(self)))
        spread = middle if least == most else f"{middle} ({least.rstrip('%')} to {most.rstrip('%')})"
        return spread.replace("%", " %")


class Digits(NamedTuple):
    """MNIST as the books use it: images as rows of 784 gray values, and labels."""

    x: np.ndarray
    t: np.ndarray
    test_x: np.ndarray
    test_t: np.ndarray


def digits(setup: Setup, rows: int = 60_000) -> Digits:
    """The first `rows` images to learn from, and the 10,000 test images; of a quick run a few hundred of them."""
    train, test = datasets.mnist()
    rows, seen = setup.few(rows, 500), setup.few(10_000, 500)
    images = train.images[:rows].reshape(-1, 784), test.images[:seen].reshape(-1, 784)
    return Digits(images[0], train.labels[:rows], images[1], test.labels[:seen])


def in_words(experiment: Experiment, figures: dict[str, list[float]]) -> str:
    """What was measured, in the words of the experiment."""
    return experiment.ours.format(**{name: Spread(values) for name, values in figures.items()})


def table(experiments: Sequence[Experiment], measured: dict[str, Any]) -> str:
    """The experiments that were measured, as a table in Markdown."""
    lines = ["| where | experiment | the book | tinynn | seeds |", "|---|---|---|---|---:|"]
    for experiment in experiments:
        if experiment.name in measured:
            figures = measured[experiment.name]["figures"]
            cells = experiment.where, experiment.what, experiment.book, in_words(experiment, figures)
            count = len(next(iter(figures.values())))
            lines.append(f"| {' | '.join(cells)} | {count} |")
    return "\n".join(lines) + "\n"


def measure(experiment: Experiment, backend: str, quick: bool) -> dict[str, Any]:
    """All seeds of an experiment: the figures of each, and what they were made with."""
    seeds = range(1 if quick else experiment.seeds)
    runs = [experiment.run(Setup(seed, backend, quick)) for seed in seeds]
    figures = {name: [float(figures[name]) for figures in runs] for name in runs[0]}
    return {"figures": figures, "backend": backend, "numpy": np.__version__, "tinynn": tinynn.__version__}


def write(book: str, experiments: Sequence[Experiment], measured: dict[str, Any]) -> None:
    """The figures into the JSON file beside the script, over those of earlier runs; the table into the page."""
    file = HERE / f"{book}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known = {e.name: (known | measured)[e.name] for e in experiments if e.name in known | measured}
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    page = PAGES / f"{book}.md"
    text = page.read_text(encoding="utf-8")
    rows = table(experiments, known)
    page.write_text(TABLE.sub(lambda found: f"{found[1]}\n{rows}\n{found[2]}", text), encoding="utf-8")
    print(f"written: {file.name}, {page.name}")


def main(book: str, about: str, experiments: Sequence[Experiment], argv: Sequence[str] | None = None) -> None:
    """Takes the options from the command line; runs, prints, writes."""
    names = [experiment.name for experiment in experiments]
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"which experiments (default all): {', '.join(names)}")
    add("--backend", choices=("numpy", "llvm", "cupy"), default="numpy", help="llvm: compiled; cupy: on a GPU")
    add("--quick", action="store_true", help="few images and epochs, one seed: to see that it runs")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    add("--write", action="store_true", help=f"write {book}.json, and the table on docs/books/{book}.md")
    args = parser.parse_args(argv)
    for name in args.names:
        if name not in names:
            parser.error(f"no experiment {name!r}; there are {', '.join(names)}")
    if args.write and args.quick:
        parser.error("a quick run measures nothing that is worth writing down: --write without --quick")
    measured = {}
    for experiment in experiments:
        if args.names and experiment.name not in args.names:
            continue
        print(f"{experiment.name}: {experiment.where}, {experiment.what}", flush=True)
        try:
            measured[experiment.name] = measure(experiment, args.backend, args.quick)
        except TinynnError as error:
            sys.exit("error: " + "; ".join(" ".join(line.split()) for line in str(error).splitlines()))
        print(f"  the book: {experiment.book}")
        print(f"  here:     {in_words(experiment, measured[experiment.name]['figures'])}\n", flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    if args.write:
        write(book, experiments, measured)
