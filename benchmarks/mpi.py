"""Scaling on this machine, measured, and on many, predicted: `make bench-mpi` writes MPI.md, mpi.json and mpi.png.

    python -m benchmarks.mpi                        a few minutes, on a machine that does nothing else
    python -m benchmarks.mpi --quick --out FOLDER   one round of each, to see that it runs
    python -m benchmarks.mpi --alpha 2e-6 --beta 1e-10    another network between machines

Every run is started by mpiexec, with one BLAS thread a rank.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import mpi_page
from benchmarks.machine import describe, load_average
from benchmarks.mpi_model import FLOPS, Network, fitted

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ("784-30-10", "784-300-10", "784-1024-1024-10")
RANKS = (1, 2, 3, 4)
WHOLE, EACH, STEPS = 256, 128, 20  # rows of the whole batch; rows of each rank; steps of an epoch
SIZES = [4 << shift for shift in range(0, 23, 2)]  # bytes that alpha and beta are fitted to, 4 to 16 million
HELD_OUT = [size * 2 for size in SIZES[1:-1]]  # bytes that they are then asked about
CLUSTER = Network(1.5e-6, 8e-11)  # assumed, not measured: 1.5 us and 100 Gbit/s


def launcher() -> str | None:
    """mpiexec: that of this environment, or else of this machine."""
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def run(ranks: int, *words: str) -> Any:
    """What the worker printed."""
    if (mpiexec := launcher()) is None:
        sys.exit("error: there is no mpiexec: pip install mpich")
    command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m", "benchmarks.mpi_worker", *words]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def measured(rounds: int) -> dict[str, Any]:
    """Steps and sums, in turns: what slows the machine for a while slows all."""
    cases = [(kind, sizes, n) for sizes in NETWORKS for n in RANKS for kind in ("whole", "each")]
    found: dict[tuple[str, str, int], list[Any]] = {case: [] for case in cases}
    sums: dict[int, list[list[float]]] = {n: [] for n in RANKS[1:]}
    rates: dict[int, list[float]] = {n: [] for n in RANKS}
    for number in range(rounds):
        for kind, sizes, n in cases:
            rows = WHOLE if kind == "whole" else EACH * n
            found[kind, sizes, n].append(run(n, "step", sizes, str(rows), str(STEPS)))
        for n, every in rates.items():
            every += run(n, "products")
        for n, several in sums.items():
            several.append(run(n, "sums", *map(str, [*SIZES, *HELD_OUT])))
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    rows = [
        {
            "kind": kind,
            "network": sizes,
            "ranks": n,
            "parameters": several[0]["parameters"],
            **{name: median(one[name] for one in several) for name in ("step", "sum")},
        }
        for (kind, sizes, n), several in found.items()
    ]
    medians = {n: [median(column) for column in zip(*several, strict=True)] for n, several in sums.items()}
    return {
        "steps": rows,
        "sums": {str(n): values for n, values in medians.items()},
        "products": {str(n): median(every) for n, every in rates.items()},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mpi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one round")
    add("--out", type=Path, default=Path(__file__).parent, metavar="DIR", help="where the files are written")
    add("--alpha", type=float, default=CLUSTER.alpha, help="seconds a message takes between machines")
    add("--beta", type=float, default=CLUSTER.beta, help="seconds a byte takes between machines")
    options = parser.parse_args(arguments)
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": describe(), "load_before": load_average()}
    found = {**about, **measured(1 if options.quick else 3), "load_after": load_average()}
    own = fitted(2, SIZES, found["sums"]["2"][: len(SIZES)])
    largest = next(row for row in found["steps"] if (row["network"], row["ranks"]) == (NETWORKS[-1], 1))
    found |= {
        "settings": {"whole": WHOLE, "each": EACH, "sizes": SIZES, "held_out": HELD_OUT},
        "here": own._asdict(),
        "cluster": Network(options.alpha, options.beta)._asdict(),
        "rate": FLOPS * largest["parameters"] * WHOLE / largest["step"],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mpi.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "MPI.md").write_text(mpi_page.page(found))
    mpi_page.draw(found, options.out / "mpi.png")
    print(options.out / "MPI.md")


if __name__ == "__main__":
    main()
