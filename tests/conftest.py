"""Hypothesis draws the same examples in every run, so that a run is red or green for what changed in the code."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is slow now and then; how long a test takes decides nothing.
settings.register_profile(
    "tinynn", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tinynn")
