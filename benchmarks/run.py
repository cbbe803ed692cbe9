"""Times tinynn and its peers on every job, side by side on this machine, and says which goals are met.

    python -m benchmarks.run               quick, a few minutes: shows that everything runs; writes out/benchmarks/
    python -m benchmarks.run --full        some 15 minutes; writes results.json, RESULTS.md and step_time.png
    python -m benchmarks.run --only quadrant predict --contenders tinynn torch --out FOLDER

Each contender runs in processes of its own. Before anything is timed all make the same steps from the same weights and
must report the same losses; a short calibration finds each one's best number of threads and form; then they take turns,
round after round. Run it from the root of the checkout, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import machine, page
from benchmarks.contenders import CATALOGUE
from benchmarks.footprint import footprint
from benchmarks.jobs import JOBS
from benchmarks.measure import Crew, Settings, measure, say
from benchmarks.sweep import NAMES, draw, sweep

__all__ = ["FULL", "QUICK", "available", "main", "results"]

FULL = Settings()
QUICK = Settings(rounds=3, epoch_rounds=2, trials=3, share=0.25, longest=0.3, rest=0.04)
FOLDER = Path(__file__).parent


def available(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Those whose package is installed, and the reason for each of the others."""
    absent = {
        name: f"the package {CATALOGUE[name].package} is not installed"
        for name in names
        if importlib.util.find_spec(CATALOGUE[name].package) is None
    }
    return [name for name in names if name not in absent], absent


def results(jobs: list[str], names: list[str], settings: Settings, *, pairs: int, swept: bool) -> dict[str, Any]:
    """What results.json holds but for the command. `pairs`: of imports, 0 for no footprint; `swept`: with the sweep.

    Errors: RuntimeError when a contender fails that must not, or does not compute what the others do.
    """
    started = time.perf_counter()
    about = {**machine.describe(), "load_before": machine.load_average()}
    names, absent = available(names)
    for name, why in absent.items():
        say(f"{name} is left out: {why}")
    found: dict[str, Any] = {"jobs": {}}
    with Crew() as crew:
        for job in jobs:
            found["jobs"][job] = measure(JOBS[job], names, crew, settings)
    if pairs:
        found["footprint"] = footprint(pairs)
    if swept:
        found["sweep"] = sweep([name for name in NAMES if name in names])
    return {
        "date": datetime.date.today().isoformat(),
        "seconds": time.perf_counter() - started,
        "machine": {**about, "load_after": machine.load_average()},
        "settings": vars(settings),
        "not_installed": absent,
        **found,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="few rounds, no torch.compile, no sweep (the default)")
    mode.add_argument("--full", action="store_true", help="everything")
    parser.add_argument("--only", nargs="+", choices=JOBS, metavar="JOB", help=f"some of {', '.join(JOBS)}")
    parser.add_argument(
        "--contenders", nargs="+", choices=CATALOGUE, metavar="NAME", help=f"some of {', '.join(CATALOGUE)}"
    )
    parser.add_argument("--rounds", type=int, help="so many for every job, after a warm-up")
    parser.add_argument("--out", type=Path, help="folder (default benchmarks/ for a full run, out/benchmarks/ else)")
    args = parser.parse_args(arguments)
    if args.rounds is not None and args.rounds < 1:
        parser.error("--rounds must be at least 1")

    settings = FULL if args.full else QUICK
    if args.rounds:
        settings = replace(settings, rounds=args.rounds, epoch_rounds=args.rounds)
    names = args.contenders or [name for name, entry in CATALOGUE.items() if args.full or not entry.slow]
    everything = not (args.only or args.contenders)
    result = results(
        args.only or list(JOBS),
        names,
        settings,
        pairs=(21 if args.full else 15) if everything else 0,
        swept=args.full and everything,
    )
    parts = ["python -m benchmarks.run", *(["--full"] if args.full else [])]
    parts += [f"--{name} {' '.join(given)}" for name in ("only", "contenders") if (given := getattr(args, name))]
    parts += [f"--rounds {args.rounds}"] if args.rounds else []
    result = {"command": " ".join(parts), "mode": "full" if args.full else "quick", **result}

    folder = args.out or (FOLDER if args.full and everything else FOLDER.parent / "out" / "benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    text = page.markdown(result)
    (folder / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "RESULTS.md").write_text(text)
    if "sweep" in result:
        draw(result["sweep"], folder / "step_time.png")
    print(text)


if __name__ == "__main__":
    machine.restart_unforced()
    main()
