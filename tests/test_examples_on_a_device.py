"""Every example with `--backend cupy`, on the device that is not there: it says what it says on NumPy."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from example_helpers import EXAMPLES

from tinynn import backend, datasets
from tinynn.data.split import Split
from tinynn.testing import FakeDevice

LESSONS = ("quadrant", "kilometres_to_miles", "perceptron_gates", "custom_layer", "one_step")


class Stands(FakeDevice):
    """In the place of "cupy"."""

    def __init__(self, precision: str = "float32") -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def in_the_place_of_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = backend.kind_of
    monkeypatch.setattr(backend, "kind_of", lambda name: Stands if name == "cupy" else usual(name))
    monkeypatch.syspath_prepend(EXAMPLES)


def said(name: str, folder: Path, capsys: Any, *arguments: str) -> tuple[str, Any]:
    """What an example prints, and what it measured."""
    main = importlib.import_module(name).main
    more = ["--out", str(folder / "out")] if "--out" in (EXAMPLES / f"{name}.py").read_text() else []
    main([*arguments, *more, "--json", str(folder / "measured.json")])
    return capsys.readouterr().out, json.loads((folder / "measured.json").read_text())


def near(a: Any, b: Any) -> bool:
    """Whether two measurements are the same up to rounding."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(name == "seconds" or near(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(near, a, b))
    return a == pytest.approx(b, rel=1e-4, abs=1e-6) if isinstance(a, float) else type(a) is type(b)


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_on_a_device(name: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = [said(name, tmp_path, capsys, "--backend", backend) for backend in ("numpy", "cupy")]
    assert near(told[0][1], told[1][1])
    words = [re.sub(r"[-+]?[\d.,]+(e[-+]?\d+)?", "#", text) for text, _ in told]
    assert words[0].replace("numpy", "fake") == words[1].replace("cupy", "fake")


DIGITS = {
    "mnist": ("--limit", "500", "--epochs", "1", "--hidden", "20"),
    "mnist_cnn": ("--limit", "200", "--epochs", "1"),
    "autoencoder": ("--limit", "300", "--epochs", "1"),
    "residual_graph": ("--limit", "300", "--epochs", "1", "--depth", "4"),
}


@pytest.mark.parametrize("name", DIGITS)
def test_an_example_with_digits_on_a_device(
    name: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = datasets.mnist()
    small = datasets.Dataset(*(Split(images[:500], labels[:500]) for images, labels in whole))
    monkeypatch.setattr(datasets, "mnist", lambda: small)
    told = [said(name, tmp_path, capsys, "--backend", backend, *DIGITS[name]) for backend in ("numpy", "cupy")]
    assert told[0][1].keys() == told[1][1].keys()
    for measured in ("history", "accuracy"):
        assert near(told[0][1].get(measured), told[1][1].get(measured))


def test_every_example_that_trains_takes_a_backend() -> None:
    without = {path.stem for path in EXAMPLES.glob("*.py") if '"--backend"' not in path.read_text(encoding="utf-8")}
    assert without == {"show_digits"}
