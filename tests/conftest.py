"""Hypothesis draws the same examples in every run, so that a run is red or green for what changed in the code."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow now and then; how long a test takes decides nothing.
settings.register_profile(
    "tinynn", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
# For the run on the oldest NumPy, beside the whole one: a quarter of the examples, also where `strategies.examples` is
# asked for their number.
settings.register_profile("oldest", settings.get_profile("tinynn"), max_examples=25)
settings.load_profile("tinynn")


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test of this process cuts the power, so nothing is shown by waiting a thousand times until data are on a disk.

    Whether and when fsync is called, and what comes of its errors, is tested with functions in its place; and processes
    that tests start, as those that are killed, wait for the disk as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield
