"""A contender's process: reads one JSON object a line, does what it asks, answers with one. `child.Child` starts it.

Requests, and what is answered:

    {"do": "epoch", "seed": 3}           {"seconds": ..., "cpu_seconds": ..., "loss": ...}
    {"do": "check", "rows": [[...]]}     {"before": ..., "during": ..., "after": ...}: losses around one pass over rows

It ends with its input.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import CATALOGUE, Contender

__all__ = ["answer", "create", "main"]


def create(name: str, x: np.ndarray, labels: np.ndarray, params: list[np.ndarray], form: str) -> Contender:
    """The contender of that name; only its own module is imported."""
    module = importlib.import_module(f"benchmarks.contenders.{CATALOGUE[name].module}")
    return module.Contender(x, labels, [p.copy() for p in params], form)


def answer(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    """Does what one request asks for."""
    if request["do"] == "epoch":
        wall, cpu = time.perf_counter(), time.process_time()
        loss = contender.epoch(request["seed"])
        seconds = time.perf_counter() - wall
        cpu_seconds = time.process_time() - cpu
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "loss": loss, **getattr(contender, "details", {})}
    if request["do"] == "check":
        rows = np.array(request["rows"], np.int64)
        before = contender.loss(rows[0])
        during = contender.train(rows)
        return {"before": before, "during": during, "after": contender.loss(rows[0])}
    raise ValueError(f"unknown request {request!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CATALOGUE)
    parser.add_argument("folder", type=Path, help="holds x.npy (uint8), labels.npy, W1.npy b1.npy W2.npy b2.npy")
    parser.add_argument("--form", default="")
    parser.add_argument("--rows", type=int, help="use only the first so many")
    args = parser.parse_args()

    # The answers go out by a descriptor of their own, so that a library that prints cannot spoil them.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        x, labels, *params = (np.load(args.folder / f"{part}.npy") for part in ("x", "labels", "W1", "b1", "W2", "b2"))
        x = x[: args.rows].astype(np.float32) / np.float32(255)
        contender = create(args.name, x, labels[: args.rows], params, args.form)
        print(json.dumps({"versions": contender.versions()}), file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(contender, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
