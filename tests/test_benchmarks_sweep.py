"""What the sweeps over width and batch show: their table, and where their pictures are shaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes

from benchmarks import gpu_sweep, page, sweep

POINTS = [
    {"width": width, "batch": batch, "times": {"tinynn": 1.25 * width, **({"torch": 9.0} if width > 8 else {})}}
    for width in (8, 16, 32)
    for batch in (1, 4)
]


@pytest.fixture
def shaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The title of the panel, and from where to where."""
    found: list[tuple[Any, ...]] = []

    def note(panel: Axes, start: float, end: float, **style: Any) -> None:
        found.append((panel, start, end, style["color"]))

    monkeypatch.setattr(Axes, "axvspan", note)
    return found


def test_a_line_of_the_table_is_a_batch_and_a_width() -> None:
    lines = page.sweep_table(POINTS, {"torch": "PyTorch", "tinynn": "tinynn"})
    assert lines[0] == "| batch | width | PyTorch | tinynn |"
    assert lines[3] == "| 4 | 8 | - | 10.0 |"
    assert lines[4] == "| 1 | 16 | 9.0 | 20.0 |"
    assert len(lines) == 2 + len(POINTS)


def test_a_peer_that_crosses_is_shaded_in_its_batch(shaded: list[tuple[Any, ...]], tmp_path: Path) -> None:
    over = [
        {"batch": 4, "ours": "tinynn", "peer": "torch", "from": 8, "to": 16, "ahead": True},
        {"batch": 1, "ours": "tinynn", "peer": "torch", "from": None, "to": 8, "ahead": True},
    ]
    sweep.draw({"points": POINTS, "over_width": over}, tmp_path / "a.png")
    assert [(panel.get_title(), *rest) for panel, *rest in shaded] == [("batch 4", 8, 16, "C0")]
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_where_the_gpu_pays_is_shaded_up_to_the_widest(shaded: list[tuple[Any, ...]], tmp_path: Path) -> None:
    points = [{**point, "times": {"gpu_captured": 1.0, "cpu_numpy": 2.0}} for point in POINTS]
    pays = [{"batch": 1, "width": 16, "before": 8}, {"batch": 4, "width": None, "before": 32}]
    gpu_sweep.draw({"points": points, "pays": pays}, tmp_path / "b.png")
    assert [(panel.get_title(), *rest) for panel, *rest in shaded] == [("batch 1", 16, 32, "C0")]
