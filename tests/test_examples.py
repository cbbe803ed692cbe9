"""The small lessons run as a reader would run them, and what they print and measure is right."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from example_helpers import EXAMPLES, call, load
from matplotlib.image import imread

from tinynn import History
from tinynn.data import write_idx

LESSONS = ("quadrant", "kilometres_to_miles", "perceptron_gates", "custom_layer", "residual_graph", "autoencoder")
PNG = b"\x89PNG\r\n\x1a\n"

# The cross-entropy before these steps, as an independent implementation found it for the same start.
QUADRANT_LOSSES = {
    1: 12.0392468493074,
    2: 11.961988119323207,
    10: 11.347553683031263,
    100: 5.1686184522010015,
    1000: 0.0434369814036521,
    5000: 0.007810491648668009,
    10_000: 0.003966347544057221,
}


class Lesson(NamedTuple):
    """One run: what was printed, what was measured, and the folder that it ran in."""

    text: str
    measured: dict[str, Any]
    folder: Path

    @property
    def lines(self) -> list[list[str]]:
        """The printed lines, each as its words."""
        return [line.split() for line in self.text.splitlines()]

    def table(self, *header: str) -> list[list[str]]:
        """The rows of the first table with this header, up to an empty line."""
        start = self.lines.index(list(header)) + 1
        rows = self.lines[start:]
        return rows[: rows.index([])] if [] in rows else rows


def printed(name: str, *arguments: str, folder: Path) -> str:
    """What an example prints, which has nothing to complain of."""
    done = call(name, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def run(name: str, *arguments: str, folder: Path) -> Lesson:
    """A whole run, with its measurements in a folder that is not there yet."""
    return measured(printed(name, "--json", "measured/lesson.json", *arguments, folder=folder), folder)


def measured(text: str, folder: Path) -> Lesson:
    """The run that printed this."""
    return Lesson(text, json.loads((folder / "measured" / "lesson.json").read_text()), folder)


def assert_regions(path: Path, classes: int) -> None:
    """A PNG with more than a fifth coloured, in as many hues as there are classes, each on a tenth of that or more."""
    assert path.read_bytes().startswith(PNG)
    image = imread(path)[::3, ::3, :3]
    coloured = image[np.ptp(image, axis=2) > 0.15]
    assert len(coloured) > 0.2 * image.shape[0] * image.shape[1]
    # The hue, as far as it shows in which of red, green and blue is the greatest and which the least.
    hues, counts = np.unique(3 * coloured.argmax(axis=1) + coloured.argmin(axis=1), return_counts=True)
    assert len(hues[counts > 0.1 * len(coloured)]) == classes


@pytest.mark.parametrize("name", LESSONS)
def test_help(name: str, tmp_path: Path) -> None:
    text = printed(name, "--help", folder=tmp_path)
    assert text.startswith(f"usage: {name}.py")
    assert "--json FILE" in text
    assert not list(tmp_path.iterdir())


def test_a_lesson_leaves_nothing_behind_unasked(tmp_path: Path) -> None:
    printed("kilometres_to_miles", folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def quadrant(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return run("quadrant", folder=tmp_path_factory.mktemp("quadrant"))


def test_quadrant_loses_what_the_reference_loses(quadrant: Lesson) -> None:
    losses = {int(step): loss for step, loss in quadrant.measured["losses"].items()}
    assert losses.keys() == QUADRANT_LOSSES.keys()
    for step, expected in QUADRANT_LOSSES.items():
        assert abs(losses[step] - expected) <= 1e-9, step
    printed = {int(step): float(loss) for step, loss in quadrant.table("step", "cross-entropy", "before", "it")}
    assert printed == pytest.approx(QUADRANT_LOSSES, abs=1e-9)


def test_quadrant_names_points_it_has_not_seen(quadrant: Lesson) -> None:
    assert quadrant.measured["points"] == [[2, 2], [-2, 2], [-2, -2], [2, -2]]
    assert quadrant.measured["quadrants"] == [1, 2, 3, 4]
    p = np.array(quadrant.measured["probabilities"])
    assert p.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-12)
    assert (np.diag(p) > 0.999).all()
    rows = quadrant.table("point", "P(1)", "P(2)", "P(3)", "P(4)", "answer")
    assert [" ".join(row[:2]) for row in rows] == ["(2, 2)", "(-2, 2)", "(-2, -2)", "(2, -2)"]
    assert [row[-1] for row in rows] == ["1", "2", "3", "4"]
    assert [[float(value) for value in row[2:6]] for row in rows] == p.round(4).tolist()
    assert quadrant.measured["share_right_untrained"] < 0.25 < 0.75 < quadrant.measured["share_right"] < 1


def test_quadrant_draws_its_regions(quadrant: Lesson) -> None:
    assert_regions(quadrant.folder / "out" / "quadrant" / "regions.png", classes=4)


def test_quadrant_needs_matplotlib_for_its_picture_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # importing it now fails
    monkeypatch.setattr(sys, "argv", ["quadrant.py", "--out", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "quadrant.py"), run_name="__main__")
    assert "No picture: drawing a picture needs the package matplotlib" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def miles(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return run("kilometres_to_miles", folder=tmp_path_factory.mktemp("miles"))


def test_miles_by_fixed_steps_stop_behind_the_goal(miles: Lesson) -> None:
    rows = miles.table("input", "weight", "output", "wanted", "error", "correction")
    assert rows == [
        ["100", "0.50000", "50.000", "62.137", "12.137", "+0.05000"],
        ["100", "0.55000", "55.000", "62.137", "7.137", "+0.05000"],
        ["100", "0.60000", "60.000", "62.137", "2.137", "+0.05000"],
        ["100", "0.65000", "65.000", "62.137", "-2.863", "-"],
    ]
    assert [row["weight"] for row in miles.measured["fixed_steps"]] == pytest.approx([0.5, 0.55, 0.6, 0.65], abs=1e-12)


def test_miles_by_the_error_are_exact_at_once(miles: Lesson) -> None:
    first, second = miles.measured["error_over_input"]
    assert first["correction"] == pytest.approx(0.12137, abs=1e-12)
    assert second["weight"] == pytest.approx(0.62137, abs=1e-12)
    assert second["error"] == pytest.approx(0, abs=1e-10)
    assert ["100", "0.62137", "62.137", "62.137", "0.000", "-"] in miles.lines


def test_miles_by_gradient_descent_are_the_same(miles: Lesson) -> None:
    found = miles.measured["gradient_descent"]
    assert found["slope"] == pytest.approx(-12.137 * 100, rel=1e-12)
    assert found["weight"] == pytest.approx(0.62137, abs=1e-12)
    assert found["difference"] <= 1e-12


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return run("perceptron_gates", folder=tmp_path_factory.mktemp("gates"))


def test_gates_are_nand_and_add(gates: Lesson) -> None:
    assert gates.measured["nand"] == [1, 1, 1, 0]
    assert gates.measured["half_adder"] == {"sum": [0, 1, 1, 0], "carry": [0, 0, 0, 1]}
    assert [" ".join(row) for row in gates.table("x1", "x2", "NAND")] == ["0 0 1", "0 1 1", "1 0 1", "1 1 0"]
    added = [" ".join(row) for row in gates.table("x1", "x2", "sum", "carry")]
    assert added == ["0 0 0 0", "0 1 1 0", "1 0 1 0", "1 1 0 1"]


def test_gates_show_why_a_step_cannot_be_trained(gates: Lesson) -> None:
    moved = gates.measured["moved"]
    assert moved["step"] == [0 if w1 < -1 else 1 for w1 in moved["w1"]]
    assert {0, 1} == set(moved["step"])
    # For the input (1, 1) the weighted sum is w1 - 2 + 3.
    assert moved["sigmoid"] == pytest.approx([1 / (1 + np.exp(-(w1 + 1))) for w1 in moved["w1"]], abs=1e-14)
    assert "cannot be trained" in gates.measured["refusal"]
    for line in gates.measured["refusal"].splitlines():
        assert line.split() in gates.lines
    assert gates.measured["risen"] == pytest.approx(gates.measured["predicted_rise"], rel=1e-3)
    assert gates.measured["predicted_rise"] == pytest.approx(0.001 * np.exp(1) / (1 + np.exp(1)) ** 2, rel=1e-12)


def test_gates_learn_nand_with_a_sigmoid(gates: Lesson) -> None:
    learned, nand = gates.measured["learned"], np.array([1, 1, 1, 0])
    assert (np.abs(learned["before"] - nand) > 0.4).all()
    assert (np.abs(learned["after"] - nand) < 0.05).all()
    w1, w2, b = learned["weights"]
    sums = np.array([b, w2 + b, w1 + b, w1 + w2 + b])
    assert learned["after"] == pytest.approx((1 / (1 + np.exp(-sums))).tolist(), abs=1e-14)
    assert gates.measured["learned_with_step"] == [1, 1, 1, 0]
    after = [float(row[3]) for row in gates.table("x1", "x2", "before", "after", "wanted")]
    assert after == pytest.approx(learned["after"], abs=0.0051)


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return run("custom_layer", "--out", "pictures", folder=tmp_path_factory.mktemp("custom"))


def test_custom_layer_is_right_and_its_slip_is_found(custom: Lesson) -> None:
    assert custom.measured["gradcheck"]["Bumps"] == ""
    said = custom.measured["gradcheck"]["Slip"]
    assert "Slip(20), dc[" in said
    expected, got = (float(line.split()[1]) for line in said.splitlines() if line.split()[0] in ("expected:", "got:"))
    assert got == pytest.approx(-expected)
    for line in said.splitlines():
        assert line.split() in custom.lines


def test_custom_layer_learns_what_straight_borders_cannot(custom: Lesson) -> None:
    accuracy = custom.measured["accuracy"]
    assert accuracy["without"] < 0.6
    assert accuracy["with Bumps"] > 0.97
    assert accuracy["with Slip"] < accuracy["with Bumps"] - 0.1
    assert ["with", "Bumps", f"{accuracy['with Bumps']:.1%}"] in custom.lines
    assert np.shape(custom.measured["places"]) == (20, 2)


def test_custom_layer_draws_its_regions_where_it_is_told(custom: Lesson) -> None:
    assert_regions(custom.folder / "pictures" / "regions.png", classes=3)
    assert sorted(path.name for path in custom.folder.iterdir()) == ["measured", "pictures"]


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    options = ("--epochs", "2", "--limit", "3000")
    return run("residual_graph", *options, folder=tmp_path_factory.mktemp("residual"))


def test_residual_learns_where_the_plain_network_does_not(residual: Lesson) -> None:
    rows = {name: numbers for name, *numbers in residual.table("first", "layer", "last", "layer", "test", "accuracy")}
    measured = residual.measured
    for name in ("plain", "residual"):
        gradients, accuracy = measured["gradients"][name], measured["accuracy"][name]
        assert len(gradients) == measured["depth"] == 30
        assert len(accuracy) == 2
        assert rows[name] == [f"{gradients[0]:.1e}", f"{gradients[-1]:.1e}", f"{accuracy[-1]:.1%}"]
    assert measured["gradients"]["plain"][0] < 1e-15 < 1e-2 < measured["gradients"]["residual"][0]
    assert measured["accuracy"]["plain"][-1] < 0.2
    assert measured["accuracy"]["residual"][-1] > 0.5


def test_residual_draws_its_picture_and_its_wiring(residual: Lesson) -> None:
    folder = residual.folder / "out" / "residual"
    assert (folder / "residual.png").read_bytes().startswith(PNG)
    assert (folder / "wiring.mmd").read_text().startswith("flowchart TD")
    assert "h1      Add()" in residual.text


def test_residual_that_is_stopped_compares_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("residual_graph")
    monkeypatch.setattr(module, "fit", lambda *given, **options: History(stopped="interrupted"))
    with pytest.raises(SystemExit, match="nothing to compare"):
        module.main(["--limit", "300", "--depth", "2", "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_are_refused_and_not_cut_into_pieces(tmp_path: Path) -> None:
    images, labels = np.zeros((40, 28, 56), np.uint8), np.arange(40) % 10
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8))
    for name in ("autoencoder", "residual_graph"):
        with pytest.raises(SystemExit, match=r"^error: .*shape"):
            load(name).main(["--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    folder = tmp_path_factory.mktemp("autoencoder")
    options = ("--epochs", "8", "--limit", "5000", "--json", "measured/lesson.json")
    done = call("autoencoder", *options, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("validation loss") == 16  # a line for each epoch of both networks
    return measured(done.stdout, folder)


def test_autoencoder_draws_better_than_straight_lines_can(autoencoder: Lesson) -> None:
    measured = autoencoder.measured
    assert 0 < measured["autoencoder"] < measured["principal_components"] < measured["plane"] < measured["mean_image"]
    words = autoencoder.text.split()
    for name in ("autoencoder", "principal_components", "mean_image"):
        assert f"{measured[name]:.5f}" in words


def test_principal_components_are_those_of_the_covariance() -> None:
    principal_components = load("autoencoder").principal_components
    rng = np.random.default_rng(0)
    x = 255 * rng.random((50, 3)) @ rng.random((3, 6))  # of rank 3, so three components are enough
    np.testing.assert_allclose(principal_components(x, x, 3), x / 255, atol=1e-12)
    assert np.abs(principal_components(x, x, 2) - x / 255).max() > 1e-3


def test_labels_that_would_cover_each_other_are_pushed_apart() -> None:
    apart = load("autoencoder").apart
    places = np.array([[0.5, 0.5], [0.51, 0.5], [0.5, 0.53], [0.9, 0.1]])
    moved = apart(places, 0.06)
    far = np.linalg.norm(moved[:, None] - moved, axis=2) + np.eye(4)
    assert far.min() > 0.055
    assert moved[3].tolist() == [0.9, 0.1]
    assert np.abs(moved - places).max() < 0.06


def test_autoencoder_draws_its_pictures(autoencoder: Lesson) -> None:
    for name in ("drawn_again", "walk", "plane"):
        assert (autoencoder.folder / "out" / "autoencoder" / f"{name}.png").read_bytes().startswith(PNG)
