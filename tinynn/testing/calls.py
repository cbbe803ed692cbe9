"""Checks of what one call leaves for the next: batches of other sizes, other threads, other instances."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from tinynn.errors import StateError
from tinynn.gradcheck import SAME, check_cache, same
from tinynn.layer import Layer
from tinynn.random import generator
from tinynn.specimen import Specimen, elsewhere
from tinynn.testing.report import ComplianceError, NotApplicable
from tinynn.testing.subject import Subject, agree, constructed

__all__ = ["CHECKS"]

CONTAINERS = "tinynn.network."
INTERRUPTIONS = 100


def cache_alone(s: Subject) -> None:
    """backward needs its cache alone: another forward, of another batch size, may come between"""
    specimen, xs = s.specimen(), s.rows(3)
    dy = s.dy(specimen, 3)
    check_cache(specimen, xs, dy, specimen.run(xs, dy))


def batch_sizes(s: Subject) -> None:
    """a larger batch after a smaller one, and a smaller after a larger, give what they give alone"""
    used = s.specimen()
    for n in (3, 5, 1, 4):
        alone, xs = s.specimen(), s.rows(n)
        dy = s.dy(alone, n)
        what = f"a batch of {n} rows gives another result after batches of other sizes"
        fix = "keep nothing in self that belongs to one batch; take len(x) anew in every call"
        same(used, alone.run(xs, dy), used.run(xs, dy), what, fix)
        used.close(what, "y of predict", used.predict(xs), alone.predict(xs), SAME, fix)


def rows_alone(s: Subject) -> None:
    """predict gives each row the same output, alone or among others"""
    specimen, xs = s.specimen(), s.rows(5)
    specimen.run(xs, s.dy(specimen, 5))  # what is averaged over batches has then begun to move
    together = specimen.predict(xs)
    fix = "at inference nothing may depend on the other rows, nor on the row's number"
    for row in range(5):
        alone = specimen.predict([x[row : row + 1] for x in xs])
        what = f"predict gives row {row} another output when it comes alone"
        agree(specimen.layer.where, what, alone, together[row : row + 1], fix, SAME)


def no_rows(s: Subject) -> None:
    """predict of no rows gives no rows, of the right shape and dtype"""
    specimen, xs = s.specimen("float32"), s.rows(3, "float32")
    expected = specimen.predict(xs)[:0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = specimen.predict([x[:0] for x in xs])
    agree(specimen.layer.where, "predict of no rows", got, expected, "take shapes from x.shape; divide by no row count")


def global_state(s: Subject) -> None:
    """global random numbers, and how NumPy treats overflow, stay as they are"""

    def ambient() -> Any:
        drawn: Any = np.random.get_state()
        return drawn[1].tobytes(), drawn[2:], random.getstate(), np.geterr()

    numpys, pythons, xs = np.random.get_state(), random.getstate(), s.rows(3)
    try:
        # As nobody would set them, so that one who sets them every time is seen as well.
        random.random()
        np.random.random(3)
        with np.errstate(over="warn", divide="warn", invalid="warn", under="ignore"):
            before = ambient()
            constructed(s.layer)
            specimen = s.specimen()
            specimen.run(xs, s.dy(specimen, 3))
            specimen.predict(xs)
            after = ambient()
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)
    if after != before:
        raise ComplianceError(
            "the global random state, or NumPy's error handling, was changed",
            where=specimen.layer.where,
            expected="nothing ambient read or set",
            got="np.random, random or np.geterr() in another state than before",
            fix="draw initial values from the rng that init is given; use np.errstate only as a with block",
        )


def two_instances(s: Subject) -> None:
    """another instance, built for other shapes and with other parameters, disturbs nothing"""
    specimen, xs = s.specimen(), s.rows(3)
    dy = s.dy(specimen, 3)
    expected = specimen.run(xs, dy)
    predicted = specimen.predict(xs)

    def use_another() -> None:
        other = Specimen(constructed(s.layer), s.shapes, s.ops, "float64", s.seed + 1)
        other.shake(generator(s.seed, "another"))
        reverse = [x[::-1] for x in xs]
        other.run(reverse, dy)
        other.predict(reverse)

    def use_another_shape() -> None:
        try:
            s.larger()
        except NotApplicable:
            return  # for these shapes alone, then

    what = "another instance of the same class changed the result"
    fix = "keep nothing that changes in the class or the module: set it on self, in build"
    for between in (use_another, use_another_shape):
        same(specimen, expected, specimen.run(xs, dy, between=between), what, fix)
        same(specimen, expected, specimen.run(xs, dy), what, fix)
    specimen.close(what, "y of predict", specimen.predict(xs), predicted, SAME, fix)


def stale_cache(s: Subject) -> None:
    """in a network, backward refuses the cache of an earlier forward"""
    net, xs = s.network(), [s.ops.asarray(x) for x in s.rows(3)]

    def refused(call: Callable[[], Any], name: str) -> None:
        y, stale = net.forward(*xs)
        dy = 1.0 if net.final_loss is not None else s.ops.asarray(np.ones_like(s.ops.to_host(y)))
        call()
        try:
            net.backward(dy, stale)
        except StateError:
            return
        raise ComplianceError(
            f"backward took a cache that {name} had made stale",
            where=net.where,
            expected="StateError",
            got="gradients of arrays that have been used again",
            fix="a container of your own hands backward on to Network.backward, which looks at the cache's token",
        )

    refused(lambda: net.forward(*xs), "a later forward")
    refused(lambda: s.infer(net, s.rows(3)), "predict")


def threads(s: Subject) -> None:
    """predict gives the same while other threads predict, wherever they come between"""
    specimen, xs, others = s.specimen(), s.rows(3), [x[::-1] for x in s.rows(5)]
    expected = specimen.predict(xs)

    def predict_elsewhere() -> None:
        elsewhere(lambda: specimen.predict(others))

    what, fix = "predict gives another output while another thread predicts", "take working arrays from self.empty"
    device = [s.ops.asarray(x) for x in specimen.without_targets(xs)]
    y = interrupted(lambda: specimen.layer.predict(*device), predict_elsewhere)
    specimen.close(what, "y", s.ops.to_host(y), expected, 0.0, fix)
    predict_elsewhere()
    specimen.close(what, "y", s.ops.to_host(y), expected, 0.0, fix)


def interrupted(call: Callable[[], Any], between: Callable[[], None]) -> Any:
    """What the call returns when `between` happens before every line of a layer's code, as threads might have it."""
    left = INTERRUPTIONS

    def at_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line" and left:
            left -= 1
            between()
        return at_line

    def at_call(frame: FrameType, event: str, argument: Any) -> Any:
        names = frame.f_code.co_varnames
        owner = frame.f_locals.get(names[0]) if names else None
        inside = isinstance(owner, Layer) and not str(frame.f_globals.get("__name__")).startswith(CONTAINERS)
        return at_line if inside else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        return call()
    finally:
        sys.settrace(before)


CHECKS = (
    cache_alone,
    batch_sizes,
    rows_alone,
    no_rows,
    global_state,
    two_instances,
    stale_cache,
    threads,
)
