"""The benchmark of the estimators, with next to no epochs."""

from __future__ import annotations

import pytest

from benchmarks import estimators


def test_it_prints_a_table_for_each_dtype(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(estimators, "JOBS", dict(list(estimators.JOBS.items())[:1]))
    estimators.main(["--rounds", "1", "--epochs", "1"])
    said = capsys.readouterr().out
    assert said.count("| fit, 1 epochs | scikit-learn | tinynn, numpy | tinynn, llvm | first fit, llvm |") == 2
    assert said.count("(1.00)") >= 2
    assert "median of 1 rounds, wall clock" in said
    monkeypatch.setattr(estimators, "measure", lambda rounds, epochs, dtype, clock: {})
    estimators.main(["--cpu"])
    assert "median of 7 rounds, processor time" in capsys.readouterr().out


def test_a_share_is_that_of_scikit_learns_time() -> None:
    times = {"scikit-learn": (1.0, 0.2), "tinynn, numpy": (1.0, 0.1), "tinynn, llvm": (3.0, 0.05)}
    row = estimators.table({"a job": times}, 3).splitlines()[-1]
    assert row == "| a job | 200 ms (1.00) | 100 ms (0.50) | 50 ms (0.25) | 3000 ms |"
