"""Other people's numbers: every case of the onnx package whose operators the layers cover, at ONNX's own tolerance.

What is covered is counted, not chosen: all cases, of all operators, are looked through, and one belongs to the count
when each of its operators has an adapter. It then is run, or stands in the list of those left out with the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.backend.test.runner import Runner
from onnx_cases import OPERATORS, PLUMBING, Stored, collect, operator_of, run
from onnx_cases.left_out import LEFT_OUT

from tinynn.errors import TinynnError

ADAPTERS = PLUMBING | OPERATORS
COVERED = {
    case.id: case
    for case in collect()
    if (names := {operator_of(node) for node in case.model.graph.node}) <= ADAPTERS.keys() and names & OPERATORS.keys()
}
REASONS = {name: reason for reason, names in LEFT_OUT.items() for name in names}


def check(case: Stored) -> None:
    """Runs the case on each of its data sets, and compares what comes out."""
    data_sets = case.read()
    assert data_sets
    for inputs, expected in data_sets:
        outputs = run(case.model, inputs, ADAPTERS)
        assert outputs[0] is not None
        assert len(outputs) == len(expected)
        for output, reference in zip(outputs, expected, strict=True):
            if output is not None:
                compare(output, reference, case)


def compare(output: Any, reference: Any, case: Stored) -> None:
    """As ONNX does it, after a cast where the case's dtype is none that layers compute in; whole numbers exactly."""
    if reference.dtype.kind in "biu":
        np.testing.assert_array_equal(output, reference)
    if reference.dtype.name not in ("float32", "float64"):
        output = output.astype(reference.dtype)
    Runner.assert_similar_outputs([reference], [output], rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("name", [name for name in COVERED if name not in REASONS])
def test_case(name: str) -> None:
    check(COVERED[name])


@pytest.mark.parametrize("name", [name for name in COVERED if name in REASONS])
def test_what_is_left_out_would_not_pass(name: str) -> None:
    with pytest.raises((TinynnError, AssertionError)):  # it is refused, or comes out otherwise
        check(COVERED[name])


def test_less_than_15_per_cent_is_left_out() -> None:
    unknown = sorted(set(REASONS) - set(COVERED))
    assert not unknown, f"left out, but no case of the covered operators: {unknown}"
    assert len(REASONS) == sum(map(len, LEFT_OUT.values())), "a case is left out for two reasons"
    share = len(REASONS) / len(COVERED)
    assert share < 0.15, f"{len(REASONS)} of {len(COVERED)} cases are left out: {share:.1%}"
