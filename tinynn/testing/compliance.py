"""All checks of a layer, each by itself: one that fails, or crashes, hides no other."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from tinynn.backend import Ops
from tinynn.errors import TinynnError
from tinynn.layer import Layer, Shape
from tinynn.testing import arithmetic, calls, copies
from tinynn.testing.report import NotApplicable, Outcome, Report
from tinynn.testing.subject import Subject

__all__ = ["Check", "check_layer", "checks"]

ALL: tuple[Callable[[Subject], None], ...] = (*arithmetic.CHECKS, *calls.CHECKS, *copies.CHECKS)


class Check:
    """One check of one layer: called, it returns nothing, or raises what is wrong; `str` is its name."""

    def __init__(self, rule: Callable[[Subject], None], subject: Subject) -> None:
        self.rule, self.subject = rule, subject
        self.name = rule.__name__.replace("_", " ")
        self.about = (rule.__doc__ or "").strip()

    def __call__(self) -> None:
        """Makes the check.

        Errors: TinynnError, or whatever the layer raises; unittest.SkipTest where the check does not apply.
        """
        with np.errstate():  # a layer that changes it changes it for this check alone
            self.rule(self.subject)

    def outcome(self) -> Outcome:
        """Makes the check and returns what came of it; raises nothing."""
        start = time.perf_counter()
        status, error = "passed", None
        try:
            self()
        except NotApplicable as reason:
            status, error = "skipped", reason
        except (Exception, SystemExit) as failure:  # a layer that calls sys.exit has not passed
            status, error = "failed", failure
        seconds = time.perf_counter() - start
        if error is None:
            return Outcome(self.name, self.about, status, seconds)
        if not isinstance(error, TinynnError):
            text = str(error) if status == "skipped" else f"{type(error).__name__}: {error}"
            code = None if status == "skipped" else own_code(error, self.subject.layer)
            return Outcome(self.name, self.about, status, seconds, text, code=code)
        parts = {name: getattr(error, name) for name in ("where", "expected", "got", "fix")}
        texts = {name: None if part is None else str(part) for name, part in parts.items()}
        return Outcome(
            self.name, self.about, status, seconds, error.what, **texts, code=own_code(error, self.subject.layer)
        )

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<check {self.name!r} of {self.subject.layer!r}>"


def checks(
    layer: Layer, *shapes: Shape, inputs: Sequence[Any] | None = None, seed: int = 0, backend: str | Ops = "numpy"
) -> list[Check]:
    """The checks of a layer, to be called one by one; for pytest, each a test of its own.

        @pytest.mark.parametrize("check", checks(MyLayer(), (4,)), ids=str)
        def test_my_layer(check):
            check()

    The arguments are those of `check_layer`.
    """
    subject = Subject(layer, shapes, inputs, seed, backend)
    return [Check(rule, subject) for rule in ALL]


def check_layer(
    layer: Layer,
    *shapes: Shape,
    inputs: Sequence[Any] | None = None,
    seed: int = 0,
    backend: str | Ops = "numpy",
    raises: bool = True,
) -> Report:
    """Makes every check of a layer, a loss or a network, and returns the report; `print` it to see a table.

    `shapes`: of one example, one for each input; for a loss the scores' shape, then () for labels or the scores'
    shape for rows; without any, usual ones are tried. `inputs`: arrays with a batch axis to check on, instead of those
    that the layer's `example` draws. `raises`: False to have the report of a layer that fails too. The layer itself is
    not touched.

    Errors: ComplianceError that names every check that failed; ConfigurationError for what is no layer.
    """
    made = checks(layer, *shapes, inputs=inputs, seed=seed, backend=backend)
    subject = made[0].subject
    report = Report(repr(layer), subject.shapes, subject.ops.name, tuple(check.outcome() for check in made))
    if raises:
        report.raise_failures()
    return report


def own_code(error: BaseException, layer: Layer) -> str | None:
    """Where in the layer's own file the error, or what caused it, came through last: "gain.py:12 in forward"."""
    module = sys.modules.get(type(layer).__module__)
    file, found = getattr(module, "__file__", None), None
    cause: BaseException | None = error
    while cause is not None:
        trace = cause.__traceback__
        while trace is not None:
            frame: FrameType = trace.tb_frame
            if frame.f_code.co_filename == file and isinstance(frame.f_locals.get("self"), Layer):
                found = f"{file}:{trace.tb_lineno} in {frame.f_code.co_name}"
            trace = trace.tb_next
        cause = cause.__cause__
    return found
