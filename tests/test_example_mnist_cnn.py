"""The convolutional lesson, run on few images as a reader would run it; the script that measures it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_helpers import assert_one_line, call, load

from benchmarks import cnn_accuracy
from tinynn import datasets


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, dict[str, Any]]:
    """A run on 2,000 images: its folder, what it printed, its progress, what it measured."""
    folder = tmp_path_factory.mktemp("lesson")
    done = call("mnist_cnn", "--limit", 2000, "--epochs", 2, "--seed", 1, "--json", "new/m.json", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, done.stderr, json.loads((folder / "new" / "m.json").read_text())


def test_the_lesson_reads(lesson: tuple[Path, str, str, dict[str, Any]]) -> None:
    assert lesson[3]["test_accuracy"] > 0.9


def test_the_lesson_says_and_writes_what_it_measured(lesson: tuple[Path, str, str, dict[str, Any]]) -> None:
    folder, text, progress, measured = lesson
    history = measured["history"]
    assert measured["settings"] == {"epochs": 2, "batch": 64, "lr": 0.001, "rows": 2000}
    assert (measured["backend"], measured["seed"]) == ("numpy", 1)
    assert {len(values) for values in history.values() if isinstance(values, list)} == {2}
    assert measured["test_accuracy"] == history["validation_accuracy"][-1]
    assert measured["misread"] == round(10_000 * (1 - measured["test_accuracy"]))
    assert measured["seconds"] > sum(history["seconds"]) > 0
    assert f"test accuracy {measured['test_accuracy']:.2%} after 2 epochs" in text
    assert f"{measured['misread']:,} test images are misread" in text
    assert [line.split("loss")[0].strip() for line in progress.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    for name in ("model.npz", "learning_curve.png", "misclassified.png"):
        assert str(Path("out", "mnist_cnn", name)) in text
        assert (folder / "out" / "mnist_cnn" / name).stat().st_size > 10_000


def test_the_saved_model_is_the_one_that_was_measured(lesson: tuple[Path, str, str, dict[str, Any]]) -> None:
    folder, _, _, measured = lesson
    net = load("mnist_cnn").build((28, 28), "numpy", seed=0).load(folder / "out" / "mnist_cnn" / "model.npz")
    assert net.evaluate(*datasets.mnist().test).accuracy == measured["test_accuracy"]


def test_images_are_moved_whole_and_each_its_own_way() -> None:
    moved = load("mnist_cnn").moved
    images = np.zeros((500, 9, 9), np.uint8)
    images[:, 4, 3] = 7
    found = moved(images, np.random.default_rng(0))
    assert (found.shape, found.dtype, found.max()) == (images.shape, images.dtype, 7)
    assert found.reshape(500, -1).astype(int).sum(axis=1).tolist() == [7] * 500
    _, rows, columns = np.nonzero(found)
    assert set(zip((rows - 4).tolist(), (columns - 3).tolist(), strict=True)) == {
        (down, across) for down in range(-2, 3) for across in range(-2, 3)
    }
    edge = moved(np.ones((100, 5, 5), np.uint8), np.random.default_rng(0))
    assert set(edge.reshape(100, -1).astype(int).sum(axis=1).tolist()) == {a * b for a in (3, 4, 5) for b in (3, 4, 5)}


def test_a_folder_without_images_is_one_line(tmp_path: Path) -> None:
    assert_one_line(call("mnist_cnn", "--data", "nowhere", folder=tmp_path), "nowhere")


def test_help(tmp_path: Path) -> None:
    done = call("mnist_cnn", "--help", folder=tmp_path)
    assert done.returncode == 0
    assert "--json FILE" in done.stdout and "60,000 images are then never the same" in done.stdout


@pytest.mark.parametrize(
    ("accuracies", "seconds", "met"),
    [([0.993, 0.994, 0.999], 600.0, True), ([0.993, 0.9939, 0.999], 60.0, False), ([0.999] * 3, 601.0, False)],
)
def test_the_goals_are_of_the_median_and_of_the_longest_run(
    accuracies: list[float], seconds: float, met: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(arguments: Any, seed: int, example: Path, threads: int) -> dict[str, Any]:
        settings = {"epochs": 15}
        return {
            "seed": seed,
            "settings": settings,
            "test_accuracy": accuracies[seed],
            "misread": 6,
            "seconds": seconds * (seed + 1) / 3,
        }

    monkeypatch.setattr(cnn_accuracy, "run", run)
    assert cnn_accuracy.main(["--out", str(tmp_path)]) == (0 if met else 1)
    page = (tmp_path / "CNN.md").read_text()
    assert page == cnn_accuracy.markdown(json.loads((tmp_path / "cnn_accuracy.json").read_text()))
    assert ("**met**" if met else "**missed**") in page
    assert f"| 2 | 15 | {accuracies[2] * 100:.2f} | 6 | {seconds:.0f} |" in page
