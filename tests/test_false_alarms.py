"""check_layer says nothing of layers that are right: cases of every row of the test table.

2,000 of them, spread over the rows, are checked when TINYNN_ALL_CASES is set; 300 otherwise:

    TINYNN_ALL_CASES=1 python -m pytest tests/test_false_alarms.py
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from strategies import laid_out
from table import ROWS, Case

from tinynn.testing import check_layer

CASES = 2000 if os.environ.get("TINYNN_ALL_CASES") else 300
EACH = -(-CASES // len(ROWS))


@pytest.mark.parametrize("name", ROWS)
def test_no_false_alarm(name: str) -> None:
    met = 0

    @settings(max_examples=EACH)
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        nonlocal met
        met += 1
        report = check_layer(case.layer, inputs=[laid_out(x, case.layout) for x in case.inputs])
        assert len(report.of("passed")) >= 17

    check()
    assert met >= EACH
