"""A contender's process: reads one JSON object a line, does what it asks, answers with one. `child.Child` starts it.

Requests, and what is answered:

    {"do": "load", "form": "", "job": {...}, "folder": "..."}   {"versions": {...}}
    {"do": "check", "form": "", "steps": 20}                    {"values": [...]}: at first, after one step, after all
    {"do": "run", "form": "", "seed": 3, "steps": 100}          {"seconds": ..., "call_seconds": ..., ...}
    {"do": "drop"}                                              {}

A loaded job is kept for each form until it is dropped. Every check and run starts from the first weights. `seconds` is
what the contender says of itself where it does (tinynn's history), or else the time of the call. What fails is answered
by {"error": "..."}. The process ends with its input.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.jobs import from_dict
from benchmarks.material import load

__all__ = ["Worker", "main"]


class Worker:
    """`module`: of the contender; only this one is imported."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.loaded: dict[str, Contender] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does what one request asks for.

        Errors: ValueError for an unknown request; whatever the contender raises.
        """
        verb = request["do"]
        if verb == "load":
            module = importlib.import_module(f"benchmarks.contenders.{self.module}")
            what = load(Path(request["folder"]))
            contender = module.Contender(from_dict(request["job"]), what, request["form"])
            self.loaded[request["form"]] = contender
            return {"versions": contender.versions()}
        if verb == "check":
            return {"values": check(self.loaded[request["form"]], request["steps"])}
        if verb == "run":
            return timed(self.loaded[request["form"]], request["seed"], request["steps"])
        if verb == "drop":
            self.loaded.clear()
            gc.collect()
            return {}
        raise ValueError(f"unknown request {request!r}")


def check(contender: Contender, steps: int) -> list[float]:
    """What the contender finds at the start, and, where it trains (steps > 0), after one step and after all of them."""
    contender.reset()
    found = contender.values()
    for number in (1, steps) if steps else ():
        contender.reset()
        contender.train(number)
        found += contender.values()
    contender.reset()
    return found


def timed(contender: Contender, seed: int, steps: int) -> dict[str, float]:
    """One run from the first weights."""
    contender.reset()
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    contender.run(seed, steps)
    seconds = time.perf_counter() - wall
    cpu_seconds = time.process_time() - cpu
    own = getattr(contender, "seconds", None)
    return {"seconds": seconds if own is None else own, "call_seconds": seconds, "cpu_seconds": cpu_seconds}


def main() -> None:
    worker = Worker(sys.argv[1])
    # The answers go out by a descriptor of their own, so that a library that prints cannot spoil them.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        for line in sys.stdin:
            try:
                answer = worker.answer(json.loads(line))
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
            print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
