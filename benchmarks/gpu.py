"""Times tinynn on a GPU beside PyTorch, JAX and the CPU, side by side, and says which goals are met.

    python -m benchmarks.gpu         8 minutes at most; writes RESULTS-gpu.md, results-gpu.json and step_time_gpu.png
    python -m benchmarks.gpu --only epoch lenet --minutes 3 --out FOLDER

The harness is that of the CPU (`benchmarks/README.md`), and its differences are these. All times are those of a device
that has done its work. Whoever fails, ends or hangs is left out of that job, with the reason; a job's processes are
started anew; what there is so far is written after each job, and the time is kept to: goals first, then the sweep over
width and batch, then the jobs without a goal. The rows are made up, since only their number matters. Losses agree to
1e-4, of tf32 and bfloat16 to 1e-2.

tinynn is timed through `fit`, which brings all rows to the device, captures, shuffles, and counts loss and accuracy. Of
steps that are captured the time is that of the loop, which waits for the device, by the history of the epochs after the
first; of an epoch, and of eager steps, what one more epoch adds to the whole call. Peers' precision is said explicitly:
PyTorch's TF32 switches and autocast, JAX's default_matmul_precision. "Matrix products alone" are the products of a step
by cuBLAS as one CUDA graph. Peak memory is what the device has more of once a process that ran has ended: its context,
libraries and pools included.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import gpu_machine, gpu_page, machine
from benchmarks.contenders.gpu import GPU, listed
from benchmarks.gpu_jobs import GPU_JOBS, GpuJob
from benchmarks.gpu_measure import Clock, Limits, measure
from benchmarks.gpu_sweep import NAMES, draw, sweep
from benchmarks.gpu_team import Team
from benchmarks.measure import say
from benchmarks.run import available
from tinynn.app.command import cuda_driver

__all__ = ["Results", "main", "run_all"]

FOLDER = Path(__file__).parent
LEAST = 45.0  # seconds without which no job begins
SWEEP = 60.0


class Results:
    """What was measured so far, and its three files."""

    def __init__(self, folder: Path, **about: Any) -> None:
        self.folder, self.started = folder, time.monotonic()
        self.found: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "done": False,
            **about,
            "not_run": {},
            "jobs": {},
        }

    def write(self) -> None:
        """The page and the JSON file, each whole or not at all."""
        self.found["seconds"] = time.monotonic() - self.started
        self.folder.mkdir(parents=True, exist_ok=True)
        texts = {"results-gpu.json": json.dumps(self.found, indent=1) + "\n", "RESULTS-gpu.md": self.page()}
        for name, text in texts.items():
            new = self.folder / f"{name}.new"
            new.write_text(text, encoding="utf-8")
            new.replace(self.folder / name)

    def page(self) -> str:
        """The page as text."""
        return gpu_page.markdown(self.found)


def run_all(
    jobs: list[GpuJob],
    names: list[str],
    results: Results,
    limits: Limits,
    clock: Clock,
    *,
    swept: bool,
    free: Any = None,
) -> None:
    """Every job in turn, those with a goal first, and what there is so far into the files after each."""
    later = [job for job in jobs if not job.wanted]
    for job in (job for job in jobs if job.wanted):
        one(job, names, results, limits, clock, free)
    if swept:
        if clock.left() < SWEEP:
            results.found["not_run"]["sweep"] = "the time was up"
        else:
            compare(names, results, Clock(clock.left() * (0.6 if later else 1.0)))  # some of it is for those after it
    for job in later:
        one(job, names, results, limits, clock, free)
    results.found["done"] = True
    results.write()


def compare(names: list[str], results: Results, clock: Clock) -> None:
    """The sweep over width and batch, and its picture."""
    say(f"width and batch, {clock.left():.0f} seconds for them")
    try:
        found = sweep([name for name in NAMES if name in names], clock)
        draw(found, results.folder / "step_time_gpu.png")
        results.found["sweep"] = found
    except Exception as error:
        results.found["not_run"]["sweep"] = f"{type(error).__name__}: {error}"
    results.write()


def one(job: GpuJob, names: list[str], results: Results, limits: Limits, clock: Clock, free: Any) -> None:
    """One job, whatever happens in it."""
    if clock.left() < LEAST:
        results.found["not_run"][job.name] = "the time was up"
        return
    say(f"{job.name}, {clock.left():.0f} seconds are left")
    try:
        with Team() as team:
            results.found["jobs"][job.name] = measure(job, names, team, limits, clock, free)
    except Exception as error:  # of the harness itself, for example no memory for the rows: the other jobs go on
        results.found["not_run"][job.name] = f"{type(error).__name__}: {error}"
    results.write()


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where there is no GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=GPU_JOBS, metavar="JOB", help=f"some of {', '.join(GPU_JOBS)}")
    parser.add_argument("--contenders", nargs="+", choices=GPU, metavar="NAME", help=f"some of {', '.join(GPU)}")
    parser.add_argument("--minutes", type=float, default=8.0, help="that the whole run may take (default 8)")
    parser.add_argument("--rounds", type=int, help="so many for every job, if the time suffices")
    parser.add_argument("--out", type=Path, help="folder (default benchmarks/ for a whole run, out/benchmarks/ else)")
    args = parser.parse_args(arguments)
    if args.rounds is not None and args.rounds < 1:
        parser.error("--rounds must be at least 1")
    clock = Clock(60 * args.minutes)

    driver = cuda_driver.ask(cuda_driver.library())
    if driver is None or not driver.gpus:
        print(cuda_driver.in_words(driver), file=sys.stderr)
        return 1
    # A share of the memory for each process, not most of it for the first.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    everything = not (args.only or args.contenders)
    limits = replace(Limits(), rounds=args.rounds, epoch_rounds=args.rounds) if args.rounds else Limits()
    parts = ["python -m benchmarks.gpu"]
    parts += [f"--{name} {' '.join(given)}" for name in ("only", "contenders") if (given := getattr(args, name))]
    parts += [f"--minutes {args.minutes:g}", *([f"--rounds {args.rounds}"] if args.rounds else [])]
    with listed():
        names, absent = available(args.contenders or list(GPU))
        for name, why in absent.items():
            say(f"{name} is left out: {why}")
        results = Results(
            args.out or (FOLDER if everything else FOLDER.parent / "out" / "benchmarks"),
            command=" ".join(parts),
            machine=gpu_machine.describe(),
            limits=asdict(limits),
            not_installed=absent,
        )
        jobs = [GPU_JOBS[name] for name in args.only or GPU_JOBS]
        run_all(jobs, names, results, limits, clock, swept=everything, free=gpu_machine.FreeMemory())
    print(results.page())
    return 0


if __name__ == "__main__":
    machine.restart_unforced()
    raise SystemExit(main())
