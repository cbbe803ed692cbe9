"""The pages and scripts of the four books: the figures are those of committed runs, and come near the books' own."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinynn
from tinynn import GradientError, QuadraticCost, Sequential, datasets, gradcheck

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "examples" / "books"
BOOKS = ("cs231n", "dlfs", "nielsen", "rashid")


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import one another as they do when they are run."""
    monkeypatch.syspath_prepend(str(SCRIPTS))


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def committed(book: str) -> dict[str, Any]:
    return json.loads((SCRIPTS / f"{book}.json").read_text(encoding="utf-8"))


def page(book: str) -> str:
    return (ROOT / "docs" / "books" / f"{book}.md").read_text(encoding="utf-8")


# --- the scripts


@pytest.mark.parametrize("book", BOOKS)
def test_every_experiment_runs(book: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", SCRIPTS / f"{book}.py", "--quick", "--json", "new/measured.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    measured = json.loads((tmp_path / "new" / "measured.json").read_text())
    experiments = script(book).EXPERIMENTS
    assert list(measured) == [experiment.name for experiment in experiments]
    for experiment in experiments:
        assert f"the book: {experiment.book}" in done.stdout
        figures = measured[experiment.name]["figures"]
        assert all(len(values) == 1 and np.isfinite(values).all() for values in figures.values())
        assert figures.keys() == committed(book)[experiment.name]["figures"].keys()
    assert done.stdout.count("  here: ") == len(experiments)
    assert [file.name for file in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("arguments", [["nonsense"], ["toy", "--write", "--quick"]])
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    module = script("cs231n")
    with pytest.raises(SystemExit) as stopped:
        script("experiment").main("cs231n", "about", module.EXPERIMENTS, arguments)
    assert stopped.value.code == 2
    assert ("no experiment 'nonsense'" in (said := capsys.readouterr().err)) or "without --quick" in said


def test_an_error_of_tinynn_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYNN_DATA", str(tmp_path))
    module = script("cs231n")
    with pytest.raises(SystemExit, match=r"^error: \$TINYNN_DATA does not lead to MNIST; .*[^\n]*$"):
        script("experiment").main("cs231n", "about", module.EXPERIMENTS, ["race", "--quick"])


def test_writing_keeps_what_was_measured_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    experiment = script("experiment")
    monkeypatch.setattr(experiment, "HERE", tmp_path)
    monkeypatch.setattr(experiment, "PAGES", tmp_path)
    text = "# A\n\n<!-- experiments: written by x -->\n\nold\n\n<!-- end of the experiments -->\n\nB\n"
    (tmp_path / "some.md").write_text(text)

    def named(name: str, value: float) -> Any:
        return experiment.Experiment(name, "here", name, "1 %", "{a:.1%}", lambda setup: {"a": value + setup.seed}, 2)

    both = [named("one", 0.5), named("two", 0.25)]
    experiment.main("some", "about", both, ["two", "--write"])
    experiment.main("some", "about", both, ["one", "--write"])
    assert list(json.loads((tmp_path / "some.json").read_text())) == ["one", "two"]
    lines = (tmp_path / "some.md").read_text().splitlines()
    assert lines[:2] + lines[-2:] == ["# A", "", "", "B"]
    assert "| here | one | 1 % | 100.0 % (50.0 to 150.0) | 2 |" in lines
    assert "| here | two | 1 % | 75.0 % (25.0 to 125.0) | 2 |" in lines
    assert "old" not in lines


# --- the pages


@pytest.mark.parametrize("book", BOOKS)
def test_the_table_on_the_page_is_that_of_the_committed_runs(book: str) -> None:
    experiments = script(book).EXPERIMENTS
    assert list(committed(book)) == [experiment.name for experiment in experiments]
    table = script("experiment").table(experiments, committed(book))
    assert table in page(book), f"python examples/books/{book}.py --write, or change the page back"


@pytest.mark.parametrize("book", BOOKS)
def test_the_committed_runs_have_all_their_seeds(book: str) -> None:
    for experiment in script(book).EXPERIMENTS:
        figures = committed(book)[experiment.name]["figures"]
        assert {len(values) for values in figures.values()} == {experiment.seeds}, experiment.name


@pytest.mark.parametrize("book", BOOKS)
def test_what_is_called_how_names_things_that_exist(book: str) -> None:
    rows = [line for line in page(book).splitlines() if line.startswith("| `")]
    ours = " ".join(re.sub(r"\\\|", "", row).split(" | ")[1] for row in rows)
    names = set(re.findall(r"\b([A-Z][A-Za-z0-9]+)\(", ours))
    assert {"Affine", "SGD", "Sequential"} <= names
    known = set(tinynn.__all__)
    assert names <= known, names - known
    assert all(hasattr(tinynn.init, name) for name in re.findall(r"init\.(\w+)", page(book)))


@pytest.mark.parametrize("book", BOOKS)
def test_files_that_a_page_names_exist(book: str) -> None:
    named = re.findall(r"`((?:examples|benchmarks|docs)/[\w/.]+)", page(book))
    named += re.findall(r"python ((?:examples)/[\w/.]+)", page(book))
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


def medians(book: str, name: str) -> dict[str, float]:
    return {figure: float(np.median(values)) for figure, values in committed(book)[name]["figures"].items()}


@pytest.mark.parametrize(
    ("book", "name", "figure", "theirs", "within"),
    [
        ("nielsen", "first", "best", 0.9542, 0.005),
        ("nielsen", "cross_entropy", "best", 0.9549, 0.005),
        ("nielsen", "overfitted", "best", 0.8227, 0.015),
        ("nielsen", "overfitted", "train", 1.0, 0.0),
        ("nielsen", "overfitted_less", "best", 0.871, 0.015),
        ("nielsen", "regularised", "best", 0.9649, 0.005),
        ("nielsen", "hundred", "last", 0.9792, 0.005),
        ("nielsen", "weights", "old", 0.87, 0.01),
        ("nielsen", "weights", "new", 0.93, 0.01),
        ("nielsen", "softmax", "test", 0.978, 0.003),
        ("nielsen", "convolution", "test", 0.9878, 0.002),
        ("nielsen", "two_convolutions", "test", 0.9923, 0.002),
        ("rashid", "two_hundred", "book", 0.9747, 0.004),
        ("rashid", "turned", "book", 0.975, 0.006),
        ("cs231n", "spiral", "linear", 0.49, 0.04),
        ("cs231n", "spiral", "network", 0.98, 0.015),
        ("dlfs", "convnet", "test", 0.9896, 0.003),
        ("dlfs", "convnet", "train", 0.9982, 0.003),
    ],
)
def test_the_figures_come_near_the_books(book: str, name: str, figure: str, theirs: float, within: float) -> None:
    assert medians(book, name)[figure] == pytest.approx(theirs, abs=within)


def test_one_of_the_wide_runs_of_nielsen_escapes_and_most_stick() -> None:
    best = committed("nielsen")["wider"]["figures"]["best"]
    assert max(best) == pytest.approx(0.9659, abs=0.005)
    assert np.median(best) < 0.9


def test_what_can_be_seen_in_the_pictures_of_saito_comes_out() -> None:
    race = medians("dlfs", "optimizers")
    assert race["sgd"] > 2 * max(race["momentum"], race["adagrad"], race["adam"])
    first = medians("dlfs", "first_weights")
    assert first["small"] > 2.29 > 1 > first["xavier"] > first["he"]
    spread = medians("dlfs", "activations")
    assert spread["one_ends"] > 0.5 > 0.01 > spread["small_ends"]
    assert spread["small"] < 0.02 < 0.1 < spread["xavier"]
    assert medians("dlfs", "batch_normalisation")["ahead"] >= 12
    over = medians("dlfs", "overfitted")
    assert over["plain"] == 1 > over["dropout"] and over["plain"] > over["decay"]
    gap = {name: over[name] - over[f"{name}_test"] for name in ("plain", "decay", "dropout")}
    assert gap["plain"] > gap["decay"] and gap["plain"] > gap["dropout"]
    assert medians("cs231n", "race")["momentum"] > medians("cs231n", "race")["sgd"]


# --- against the numbers that CS231n prints, and the rules of the books


def setup() -> Any:
    return script("experiment").Setup(seed=0, backend="numpy", quick=True)


def test_cs231n_numbers() -> None:
    module = script("cs231n")
    toy = module.toy_numbers(setup())
    assert toy["scores"] < 1e-7 and toy["loss"] < 1e-12 and toy["trained"] < 0.02 and toy["accuracy"] == 1
    layers = module.layer_numbers(setup())
    assert layers["affine"] < 1e-8 and layers["convolution"] < 1e-7
    optimizers = module.optimizer_numbers(setup())
    assert optimizers["momentum"] < 1e-8 and optimizers["rmsprop"] < 2e-7 and optimizers["adam"] < 2e-7
    gradients = module.gradient_checks(setup())
    assert gradients["affine"] < 1e-8 and gradients["relu"] < 1e-9 and gradients["pool"] < 1e-9
    assert gradients["convolution"] < 1e-6 and gradients["batchnorm"] < 1e-6


def test_saito_gradient_check_and_the_walk_of_sgd() -> None:
    module = script("dlfs")
    assert max(module.gradient_check(setup()).values()) < 1e-8
    walk = module.valley(setup())
    assert walk["sgd"] == pytest.approx(np.hypot(7 * 0.905**30, 2 * 0.9**30), rel=1e-12)


def test_rashid_rule_is_the_books_and_not_the_derivative() -> None:
    module = script("rashid")
    hidden, last = module.ByTheBook(4), module.ByTheBook(3)
    net = Sequential(hidden, last, QuadraticCost(off=0.01, on=0.99)).build((5,), dtype="float64", seed=1)
    x, label = np.random.default_rng(0).uniform(0.01, 1, (1, 5)), np.array([2])
    wih, who = hidden.W.T.copy(), last.W.T.copy()
    inputs, targets = x.T, np.full((3, 1), 0.01)
    targets[label] = 0.99
    hidden_outputs = 1 / (1 + np.exp(-wih @ inputs))
    final_outputs = 1 / (1 + np.exp(-who @ hidden_outputs))
    errors = targets - final_outputs
    hidden_errors = who.T @ errors
    _, cache = net.forward(x, label)
    net.backward(1.0, cache)
    to_who = (errors * final_outputs * (1 - final_outputs)) @ hidden_outputs.T  # what the book adds, times its rate
    to_wih = (hidden_errors * hidden_outputs * (1 - hidden_outputs)) @ inputs.T
    assert np.abs(last.dW.T + to_who).max() < 1e-15
    assert np.abs(hidden.dW.T + to_wih).max() < 1e-15
    with pytest.raises(GradientError, match="the gradient dx is wrong"):
        gradcheck(module.ByTheBook(4), (5,))


def test_rashid_turns_images() -> None:
    rotated = script("rashid").rotated
    images = datasets.mnist().test.images[:20]
    rows = images.reshape(-1, 784)
    assert (rotated(rows, 0) == rows).all()
    quarter = rotated(rows, 90).reshape(images.shape)
    assert (quarter == np.rot90(images, axes=(1, 2))).all() or (quarter == np.rot90(images, -1, axes=(1, 2))).all()
    there_and_back = rotated(rotated(rows, 10), -10).astype(float)
    assert np.corrcoef(there_and_back.ravel(), rows.ravel())[0, 1] > 0.95
    assert np.corrcoef(rotated(rows, 20).astype(float).ravel(), rows.ravel())[0, 1] < 0.9
