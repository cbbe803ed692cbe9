"""A course of training as a header and arrays, for a file, and back.

The arrays of the network have their own names, so that a checkpoint is read like a saved network. The others begin with
`#`, which no layer's name does: `#optimizer/velocity.0.W`, `#before/0.W`, `#history/loss`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinynn.errors import ConfigurationError
from tinynn.training.course import Course
from tinynn.training.snapshot import Snapshot

__all__ = ["pack", "unpack"]

LISTS = ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds")
COUNTS = ("epoch", "done", "steps", "best_epoch")
REASONS = ("finished", "early", "callback", "interrupted")


def pack(course: Course) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What JSON holds of a course, and the arrays.

    Errors: ConfigurationError for an optimizer whose state cannot be written.
    """
    numbers: dict[str, Any] = {name: getattr(course, name) for name in COUNTS}
    numbers["stopped"], numbers["snapshots"] = course.history.stopped, {}
    arrays: dict[str, np.ndarray] = {}
    # Between two epochs the one before is the one now. What has the same names as the network's arrays is the first.
    before = course.before if course.done else None
    for name, snapshot in (("", Snapshot(course.net, course.optimizer)), ("before", before), ("best", course.best)):
        if snapshot is not None:
            prefix = f"#{name}/" if name else ""
            arrays |= {prefix + key: array for key, array in snapshot.network.items()}
            others, held = split(snapshot.optimizer or {}, course.optimizer)
            arrays |= {f"{prefix}#optimizer/{key}": array for key, array in held.items()}
            numbers["snapshots"][name] = others
    for name in LISTS:
        arrays[f"#history/{name}"] = np.array(getattr(course.history, name), np.float64)
    tally = course.tally.numbers()
    arrays["#tally/sums"], arrays["#tally/counts"] = tally[:2], tally[2:].astype(np.int64)
    arrays["#lowest"], arrays["#seconds"] = np.array(course.lowest), np.array(course.seconds)
    return numbers, arrays


def split(state: dict[str, Any], optimizer: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """An optimizer's state as plain numbers and texts, and arrays.

    Errors: ConfigurationError for anything else.
    """
    plain: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            arrays[name] = np.asarray(value)
        elif value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and value - value == 0):
            plain[name] = value
        else:
            raise ConfigurationError(
                f"the optimizer's state {name!r} cannot be written into a checkpoint",
                where=repr(optimizer),
                expected="arrays of numbers, integers, finite floats, texts, None",
                got=repr(value),
                fix="let state() return such values, and load_state() take them",
            )
    return plain, arrays


def unpack(course: Course, numbers: Any, arrays: dict[str, np.ndarray]) -> None:
    """Puts the course, its network and its optimizer where they stood.

    Errors: KeyError, TypeError, ValueError for what `pack` does not return; tinynn's own for arrays that do not fit
    the network or the optimizer. Nothing is changed then.
    """
    now = Snapshot(course.net, course.optimizer)
    counts = {name: count(numbers[name]) for name in COUNTS}
    lists = {name: real(arrays[f"#history/{name}"], 1).tolist() for name in LISTS}
    if numbers["stopped"] not in REASONS or len(lists["loss"]) != counts["epoch"]:
        raise ValueError("a history that is not that of its epochs")
    total, weight = real(arrays["#tally/sums"], 1)
    right, counted = arrays["#tally/counts"].tolist()
    lowest, seconds = float(real(arrays["#lowest"], 0)), float(real(arrays["#seconds"], 0))
    best = taken(course, "best", numbers, arrays)
    before = taken(course, "before", numbers, arrays)
    current = taken(course, "", numbers, arrays)
    if current is None or bool(counts["done"]) != (before is not None):
        raise ValueError("a snapshot is missing")
    try:
        for snapshot in (best, before, current):  # each of them has to fit
            if snapshot is not None:
                snapshot.restore()
    except BaseException:
        now.restore()
        raise
    vars(course).update(counts)
    vars(course.history).update(lists)
    course.history.stopped = "finished" if numbers["stopped"] == "interrupted" else numbers["stopped"]
    course.lowest, course.seconds, course.best, course.before = lowest, seconds, best, before or current
    course.tally.assign(np.array([total, weight, count(right), count(counted)]))


def taken(course: Course, name: str, numbers: Any, arrays: dict[str, np.ndarray]) -> Snapshot | None:
    """The snapshot of that name, if there is one."""
    if name not in numbers["snapshots"]:
        return None
    prefix = f"#{name}/" if name else ""
    held = {key.removeprefix(prefix): x for key, x in arrays.items() if key.startswith(prefix)}
    network = {key: x for key, x in held.items() if not key.startswith("#")}
    remembered = {key.removeprefix("#optimizer/"): x for key, x in held.items() if key.startswith("#optimizer/")}
    remembers = callable(getattr(course.optimizer, "load_state", None))
    state = {**numbers["snapshots"][name], **remembered} if remembers else None
    return Snapshot(course.net, course.optimizer, network, state)


def count(value: Any) -> int:
    """A whole number >= 0. Errors: ValueError, TypeError."""
    if isinstance(value, bool) or operator.index(value) < 0:
        raise ValueError(f"{value!r} is no count")
    return operator.index(value)


def real(x: np.ndarray, ndim: int) -> np.ndarray:
    """An array of float64 with so many axes. Errors: ValueError."""
    if x.dtype != np.float64 or x.ndim != ndim:
        raise ValueError(f"an array of {x.dtype} with {x.ndim} axes")
    return x
