"""The benchmark of several ranks: its worker runs, and its committed pages are what its committed figures make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mpi_helpers import needs_mpiexec

from benchmarks import large_batch, mpi, mpi_page
from benchmarks.mpi_model import Network, fitted

FOLDER = Path(mpi.__file__).parent


def committed(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def test_the_pages_are_those_of_the_figures() -> None:
    assert (FOLDER / "MPI.md").read_text(encoding="utf-8") == mpi_page.page(committed("mpi.json"))
    assert (FOLDER / "LARGE_BATCH.md").read_text(encoding="utf-8") == large_batch.page(committed("large_batch.json"))


def test_the_guide_has_the_table_of_the_page() -> None:
    table = mpi_page.page(committed("mpi.json")).split("more ranks pay:\n\n")[1].strip()
    guide = (FOLDER.parent / "docs" / "guide" / "scaling.md").read_text(encoding="utf-8")
    assert table.startswith("| rows a rank |") and f"\n\n{table}\n\n" in guide


def test_a_busy_machine_is_told_of() -> None:
    found = committed("mpi.json")
    told = [mpi_page.page({**found, "load_before": load}) for load in (0.1, 3.0)]
    assert ["Other programs were running" in page for page in told] == [False, True]


def test_every_case_was_measured_and_alpha_and_beta_are_theirs() -> None:
    found = committed("mpi.json")
    kinds = {(row["kind"], row["network"], row["ranks"]) for row in found["steps"]}
    assert kinds == {(kind, name, n) for kind in ("whole", "each") for name in mpi.NETWORKS for n in mpi.RANKS}
    sizes = found["settings"]["sizes"]
    assert fitted(2, sizes, found["sums"]["2"][: len(sizes)]) == pytest.approx(Network(**found["here"]))
    assert not set(sizes) & set(found["settings"]["held_out"])


def test_eight_times_the_batch_is_as_good_where_the_rate_leaves_room() -> None:
    found = committed("large_batch.json")
    assert found["seeds"] >= 3
    assert list(found["accuracy"]) == list(large_batch.CASES)
    assert "- rate 0.1: " in large_batch.page(found) and " points, within them" in large_batch.page(found)
    worse = {**found, "accuracy": {name: [share - 0.01 * i for share in shares] for i, (name, shares) in rows(found)}}
    assert "- rate 0.1: -3.00 points, not within them" in large_batch.page({**worse, "accuracy": levels(found)})
    assert " points, within them" not in large_batch.page(worse)


def levels(found: dict[str, Any]) -> dict[str, list[float]]:
    """As if each case were a point worse than the one before."""
    return {name: [0.9 - 0.01 * i] for i, name in enumerate(found["accuracy"])}


def rows(found: dict[str, Any]) -> list[tuple[int, tuple[str, list[float]]]]:
    return list(enumerate(found["accuracy"].items()))


def test_the_picture(tmp_path: Path) -> None:
    mpi_page.draw(committed("mpi.json"), tmp_path / "mpi.png")
    assert (tmp_path / "mpi.png").read_bytes().startswith(b"\x89PNG")


@needs_mpiexec
def test_the_worker() -> None:
    assert all(seconds > 0 for seconds in mpi.run(2, "sums", "4", "1000"))
    one, two = (mpi.run(n, "step", "20-5-3", "16", "4") for n in (1, 2))
    assert one["parameters"] == two["parameters"] == 20 * 5 + 5 + 5 * 3 + 3
    assert one["sum"] == 0 < two["sum"]
    assert one["step"] > 0 and two["step"] > 0
