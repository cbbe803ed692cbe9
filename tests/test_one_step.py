"""examples/one_step.py against the figures that Matt Mazur's page prints, to its nine digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_helpers import call

# "A Step by Step Backpropagation Example", 2015: the total error, and w1+ to w8+.
ERROR = 0.298371109
UPDATED = {
    "0.W[0,0]": 0.149780716,
    "0.W[1,0]": 0.19956143,
    "0.W[0,1]": 0.24975114,
    "0.W[1,1]": 0.29950229,
    "2.W[0,0]": 0.35891648,
    "2.W[1,0]": 0.408666186,
    "2.W[0,1]": 0.511301270,
    "2.W[1,1]": 0.561370121,
}


def test_the_step_is_the_one_in_the_book(tmp_path: Path) -> None:
    done = call("one_step", "--json", "new/report.json", "--steps", 1000, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "new" / "report.json").read_text())
    assert measured["first_loss"] == pytest.approx(ERROR, abs=1e-9)
    assert {w["name"]: w["after"] for w in measured["weights"]} == pytest.approx(UPDATED, abs=1e-8)
    for weight in measured["weights"]:
        assert weight["gradient"] == pytest.approx(weight["quotient"], rel=1e-6)
    assert measured["last_loss"] < 1e-3
    assert "0.298371109" in done.stdout
