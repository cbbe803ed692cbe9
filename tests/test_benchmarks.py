"""The benchmark's arithmetic, its page, and that tinynn and bare NumPy are made to do the same work."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import levers, nielsen_epoch, report
from benchmarks.contenders import BATCH, CATALOGUE, thread_environment
from benchmarks.nielsen_epoch import Settings, initial_params, measure, reference_losses
from benchmarks.worker import answer, create
from tinynn.backend import NumpyOps

OURS = ["tinynn", "numpy"]


def digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images x uint8 (n, 784) and labels (n,) of no meaning."""
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (n, 784)).astype(np.uint8), rng.integers(0, 10, n).astype(np.uint8)


def test_summary_of_known_seconds() -> None:
    assert report.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "spread": 1.0}


def test_ratios_of_medians_and_in_pairs() -> None:
    # In the second round a load doubled both times: the pairs do not notice, the medians do.
    assert report.ratios([1.0, 2.0, 1.0], [4.0, 8.0, 8.0]) == {"of_medians": 0.125, "paired": 0.25}


@pytest.mark.parametrize(("peer", "seconds", "met"), [("jax_jit", 2.0, True), ("jax_jit", 1.5, False)])
def test_a_goal_is_met_up_to_its_limit(peer: str, seconds: float, met: bool) -> None:
    found = report.goals({"tinynn": [1.0, 1.0], peer: [seconds, seconds], "numpy": [0.5, 0.5]})
    assert found[peer]["goal"] == 0.6
    assert found[peer]["met"] is met
    assert found["numpy"] == {"of_medians": 2.0, "paired": 2.0}


def test_a_goal_needs_both_ratios() -> None:
    found = report.goals({"tinynn": [1.0, 2.0, 1.0], "torch": [4.0, 8.0, 8.0]})
    assert found["torch"]["of_medians"] < 0.2 < found["torch"]["paired"]
    assert found["torch"]["met"] is False


def test_without_tinynn_there_are_no_ratios() -> None:
    assert report.goals({"numpy": [1.0], "torch": [2.0]}) == {}


def test_disagreements_name_the_contender_and_count_nan() -> None:
    reference = {"before": 1.0, "after": 0.5}
    checks = {"a": {"before": 1.00005, "after": 0.5}, "b": {"before": 1.0, "after": 0.6}, "c": {"before": math.nan}}
    lines = report.disagreements(checks, reference, 1e-4)
    assert [line.partition(":")[0] for line in lines] == ["b", "c"]
    assert "after 0.600000, expected 0.500000" in lines[0]


def contender(label: str, seconds: float) -> dict[str, Any]:
    return {
        "label": label,
        "versions": {"pkg": "1.2"},
        "threads": 1,
        "form": "",
        **report.summary([seconds, seconds]),
        "cpu_median": seconds,
        "epochs": [],
    }


def result_of(ours: float, theirs: float) -> dict[str, Any]:
    """What `measure` returns, for these times of tinynn and JAX."""
    return {
        "date": "2030-01-02",
        "quick": False,
        "machine": {
            "cpu": "Some CPU",
            "cores": 2,
            "system": "Linux",
            "python": "3.11.0",
            "load_before": 0.1,
            "load_after": 0.2,
        },
        "rows": 50_000,
        "batch": 10,
        "rounds": 2,
        "contenders": {"tinynn": contender("tinynn fit", ours), "jax_jit": contender("JAX", theirs)},
        "ratios": report.goals({"tinynn": [ours, ours], "jax_jit": [theirs, theirs]}),
        "calibration": {"tinynn": [{"threads": None, "form": "", "seconds_per_step": 60e-6}]},
        "check": {"steps": 50, "tolerance": 1e-4},
    }


def table_row(page: str, label: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {label} (")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_has_the_figures_sorted_by_time() -> None:
    page = report.markdown(result_of(0.3, 0.6))
    assert table_row(page, "JAX") == [
        "JAX (pkg 1.2)",
        "1",
        "-",
        "0.600",
        "0.600 to 0.600",
        "120",
        "0.600",
        "0.50",
        "0.50",
    ]
    assert table_row(page, "tinynn fit")[-2:] == ["-", "-"]
    assert page.index("| tinynn fit") < page.index("| JAX")
    assert "at most 0.6 times the time of JAX. Measured 0.50, in pairs 0.50: **met**." in page
    assert "5,000 steps" in page
    assert "| tinynn | its own choice | - | 60 |" in page
    assert "quick run" not in page


def test_the_page_says_what_was_missed() -> None:
    page = report.markdown(result_of(0.6, 0.6) | {"quick": True})
    assert "**missed**" in page
    assert "**met**" not in page
    assert "A quick run" in page


def test_every_table_has_rows_as_wide_as_its_head() -> None:
    widths: set[int] = set()
    for line in [*report.markdown(result_of(0.3, 0.6)).splitlines(), ""]:
        if line.startswith("|"):
            widths.add(line.count("|"))
        else:
            assert len(widths) <= 1
            widths.clear()


@pytest.mark.parametrize("name", OURS)
def test_contenders_agree_with_the_reference(name: str) -> None:
    x, labels = digits(400)
    rows = np.random.default_rng(1).permutation(400).reshape(-1, BATCH)
    params = initial_params()
    expected = reference_losses(params, x / 255.0, np.eye(10)[labels], rows)
    scaled = x.astype(np.float32) / np.float32(255)
    made = create(name, scaled, labels, list(params.values()), "")
    got = answer(made, {"do": "check", "rows": rows.tolist()})
    assert got == pytest.approx(expected, abs=1e-4)
    assert abs(expected["after"] - expected["before"]) > 0.01  # so that taking no steps would be noticed


@pytest.mark.parametrize("name", OURS)
def test_an_epoch_is_shuffled_by_its_seed(name: str) -> None:
    x, labels = digits(300)
    scaled = x.astype(np.float32) / np.float32(255)
    losses = []
    for seed in (1, 1, 2):
        made = create(name, scaled, labels, list(initial_params().values()), "")
        losses.append(answer(made, {"do": "epoch", "seed": seed})["loss"])
    assert losses[0] == losses[1] != losses[2]


def test_unknown_requests_are_refused() -> None:
    x, labels = digits(10)
    made = create("numpy", x.astype(np.float32), labels, list(initial_params().values()), "")
    with pytest.raises(ValueError, match="unknown request"):
        answer(made, {"do": "nothing"})


def test_one_thread_is_one_thread_everywhere() -> None:
    one, two = thread_environment(1), thread_environment(2)
    assert {one[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NPROC")} == {"1"}
    assert two["OPENBLAS_NUM_THREADS"] == "2"
    assert "--xla_cpu_multi_thread_eigen=false" in one["XLA_FLAGS"]
    assert "XLA_FLAGS" not in two


def test_the_whole_run_in_small(tmp_path: Path) -> None:
    x, labels = digits(200)
    settings = Settings(rows=200, rounds=2, short_rows=100, short_epochs=1, check_steps=5, threads=(1,))
    result = json.loads(json.dumps(measure(x, labels, OURS, settings)))
    assert list(result["contenders"]) == OURS
    assert all(len(result["contenders"][name]["epochs"]) == 2 for name in OURS)
    assert result["ratios"]["numpy"]["of_medians"] > 0
    page = report.markdown(result)
    assert table_row(page, "bare NumPy")[1] == "1"
    assert "as its history has it" in page


def test_a_contender_that_computes_something_else_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = digits(100)
    monkeypatch.setattr(nielsen_epoch, "ETA", 2.9)  # the reference's; the contender's process keeps its own
    settings = Settings(rows=100, rounds=1, short_rows=100, short_epochs=1, check_steps=5, threads=(1,))
    with pytest.raises(RuntimeError, match="numpy: loss after"):
        measure(x, labels, ["numpy"], settings)


def test_every_contender_has_its_module() -> None:
    folder = Path(nielsen_epoch.__file__).parent / "contenders"
    assert {f"{entry.module}.py" for entry in CATALOGUE.values()} == {p.name for p in folder.glob("[!_]*.py")}


def test_every_lever_leaves_the_loss_as_it_is() -> None:
    rng = np.random.default_rng(0)
    found = levers.measure(rng.random((60, 8), dtype=np.float32), rng.integers(0, 10, 60), rounds=2)
    assert list(found) == list(levers.LEVERS)
    assert len(levers.table(found).splitlines()) == 2 + len(found)


def test_a_lever_that_changes_the_loss_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: NumpyOps, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.multiply(a @ b, 0.5, out=out)

    monkeypatch.setattr(levers, "LEVERS", {"half the product": lambda: patch.object(NumpyOps, "matmul", half)})
    with pytest.raises(RuntimeError, match="half the product"):
        levers.measure(np.ones((20, 8), np.float32), np.arange(20) % 10, rounds=1)
