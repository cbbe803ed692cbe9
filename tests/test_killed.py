"""kill -9 at any moment: what is there is whole, and the run that goes on comes to the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("what", ["moments", "again", "around_the_rename before", "around_the_rename after"])
def test_a_killed_run_comes_to_the_same_bits(what: str, tmp_path: Path) -> None:
    name, *args = what.split()
    program = [sys.executable, Path(__file__).with_name("killed_runs.py"), name, tmp_path, *args]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
