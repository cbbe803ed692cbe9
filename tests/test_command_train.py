"""`tinynn train`: every kind of data to a sensible accuracy, resumed runs to the bit, Ctrl-C, and what cannot begin."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynn
from tests.command_helpers import COMMAND, ENVIRONMENT
from tinynn import datasets
from tinynn.app.command import main, train
from tinynn.app.page.corrections import LABELS, Corrections
from tinynn.data.idx import write_idx
from tinynn.data.mnist import IDX_NAMES
from tinynn.data.text_digits import write_text_digits


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def drawn() -> np.random.Generator:
    """New for each set of data, so that none depends on the tests before it."""
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def digits() -> datasets.Dataset:
    found = datasets.mnist()
    return datasets.Dataset(*(type(part)(part.images[:2000], part.labels[:2000]) for part in found))


def flowers(path: Path, rows: int = 150) -> Path:
    """Three kinds, whose features are of very different sizes and stand for themselves."""
    rng = drawn()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["year", "petal", "constant", "kind"])
        for i in range(rows):
            kind = i % 3
            petal = (kind * 3 + rng.normal()) * 1e-6
            writer.writerow([f"{2000 + kind * 4 + rng.normal():.3f}", petal, 0.1, ("iris", "rose", "lily")[kind]])
    return path


def prices(path: Path, rows: int = 200) -> Path:
    x = drawn().normal(size=(rows, 2)) * [10, 0.1] + [100, 3]
    t = 1e5 + 2e3 * x[:, 0] - 5e4 * x[:, 1]
    np.savetxt(path, np.column_stack([x, t]), delimiter=",", header="size,age,price", comments="")
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and result of `tinynn train`, which prints nothing but it on standard output."""
    capsys.readouterr()
    code = main(["train", *arguments, "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of a run that cannot begin, which leaves no model."""
    assert main(["train", *arguments]) == 2
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("tinynn: ") and lines[1].startswith("  fix: ")
    assert not Path("model.npz").exists()
    return printed.err


def test_a_table_of_classes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = flowers(tmp_path / "flowers.csv")
    assert main(["train", str(path), "--layers", "30 relu", "--epochs", "40", "--lr", "0.01"]) == 0
    printed = capsys.readouterr()
    assert "120 rows of 3 features; 30 more to validate on" in printed.out
    assert "to learn: 'kind', 3 classes: iris, lily, rose" in printed.out
    accuracy = re.search(r"validation accuracy ([\d.]+)%", printed.out)
    assert accuracy is not None and float(accuracy[1]) > 90
    assert printed.err.count("epoch ") == 40
    net = tinynn.load("model.npz")
    assert net.metadata == {
        "classes": ["iris", "lily", "rose"],
        "features": ["year", "petal", "constant"],
        "target": "kind",
    }
    # The file takes the columns as they are in the table.
    assert net.predict(np.array([[2000, 0, 0.1], [2004, 3e-6, 0.1], [2008, 6e-6, 0.1]])).argmax(axis=1).tolist() == [
        0,
        2,
        1,
    ]


def test_two_classes_by_one_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    rows = [(x, y, "yes" if x > y else "no") for x, y in drawn().normal(size=(200, 2)).round(4).tolist()]
    path.write_text("a,b,answer\n" + "".join(f"{a},{b},{answer}\n" for a, b, answer in rows))
    loss = ("--loss", "binarycrossentropy")
    code, found = asked(capsys, str(path), *loss, "--layers", "", "--epochs", "60", "--lr", "0.05", "--quiet")
    assert (code, found["network"][1:]) == (0, ["Affine(1)", "BinaryCrossEntropy()"])
    assert found["validation"]["accuracy"] == found["history"]["validation_accuracy"][-1] > 0.9
    net = tinynn.load("model.npz")
    assert net.metadata["classes"] == ["no", "yes"]
    assert net.predict(np.array([[2.0, -2.0], [-2.0, 2.0]]))[:, 0].round().tolist() == [1, 0]
    path.write_text(path.read_text().replace("yes", "1").replace("no", "0"))
    assert asked(capsys, str(path), *loss, "--validation", str(path), "--quiet", "--epochs", "9")[0] == 0
    assert "tells two classes apart" in refusal_after(capsys, str(flowers(tmp_path / "flowers.csv")), *loss)


def test_a_table_of_numbers_is_learned_in_its_own_units(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = prices(tmp_path / "prices.csv")
    code, found = asked(capsys, str(path), "--layers", "30 tanh", "--epochs", "60", "--lr", "0.01", "--quiet")
    assert code == 0
    assert found["network"][-2:] == ["Rescale(<array (1,)>, <array (1,)>)", "MeanSquaredError()"]
    assert found["validation"]["r2"] > 0.98
    assert found["history"]["accuracy"] == [None] * 60  # NaN, which JSON has not
    net = tinynn.load("model.npz")
    assert abs(float(net.predict(np.array([[100.0, 3.0]]))[0, 0]) - 150_000) < 3000
    code, other = asked(capsys, str(path), "--loss", "huber", "--epochs", "1", "--quiet", "--out", "huber.npz")
    assert (code, other["network"][-1]) == (0, "Huber()")


def test_images(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, array in zip(IDX_NAMES, (*digits.train, *digits.test), strict=True):
        write_idx(tmp_path / name, array[: 2000 if name.startswith("train") else 500])
    code, found = asked(capsys, str(tmp_path), "--epochs", "4", "--quiet", "--layers", "50 relu dropout:0.1")
    assert (code, found["rows"], found["validation"]["rows"]) == (0, 2000, 500)
    assert found["validation"]["accuracy"] > 0.85
    assert found["network"][0].startswith("Rescale(0.0039")
    code, found = asked(capsys, str(tmp_path), "--validation", "0.1", "--epochs", "1", "--quiet", "--layers", "")
    assert (found["rows"], found["validation"]["rows"], len(found["network"])) == (1800, 200, 3)
    options = ("--layers", "conv:2:5:stride=4 relu", "--epochs", "1", "--quiet", "--optimizer", "sgd")
    some = datasets.Dataset(*(type(part)(part.images[:500], part.labels[:500]) for part in digits))
    monkeypatch.setattr(datasets, "mnist", lambda: some)
    code, found = asked(capsys, "mnist", *options)
    assert (code, found["rows"], found["validation"]["rows"], found["optimizer"]) == (0, 500, 500, "SGD(lr=0.1)")
    assert found["network"][1:3] == ["Reshape((1, 28, 28))", "Conv2D(2, 5, stride=4)"]
    assert tinynn.load("model.npz").metadata == {"classes": [*"0123456789"]}


def test_text_digits(capsys: pytest.CaptureFixture[str], tmp_path: Path, digits: datasets.Dataset) -> None:
    images, labels = digits.train
    for folder in ("flat", "both/train", "both/test"):
        write_text_digits(tmp_path / folder, images[:60], labels[:60])
    options = ("--quiet", "--epochs", "15", "--layers", "20 relu", "--lr", "0.01", "--l2", "1e-4")
    _, found = asked(capsys, "flat", *options)
    assert (found["rows"], found["validation"]["rows"]) == (48, 12)
    _, found = asked(capsys, "both", *options)
    assert (found["rows"], found["validation"]["rows"]) == (60, 60)
    assert found["validation"]["accuracy"] > 0.8
    _, found = asked(capsys, "flat", *options, "--validation", "both")
    assert (found["rows"], found["validation"]["rows"]) == (60, 60)


def test_what_the_page_keeps_can_be_learned_and_validated_on(
    capsys: pytest.CaptureFixture[str], digits: datasets.Dataset
) -> None:
    kept = Corrections("kept")
    for image, label in zip(digits.train.images[:20], digits.train.labels[:20], strict=True):
        kept.add(image, int(label))
    _, found = asked(capsys, "kept", "--quiet", "--epochs", "1", "--layers", "")
    assert (found["rows"], found["validation"]["rows"]) == (16, 4)
    assert tinynn.load("model.npz").metadata == {"classes": [*"0123456789"]}
    np.savez("data.npz", x=digits.train.images[:50], t=digits.train.labels[:50])
    _, found = asked(capsys, "data.npz", "--validation", "kept", "--quiet", "--epochs", "1", "--layers", "")
    assert (found["rows"], found["validation"]["rows"]) == (50, 20)
    write_idx(f"kept/{LABELS}", digits.train.labels[:7])
    assert "belong together" in refusal_after(capsys, "kept")


def kinds(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(n) % 3
    return drawn().normal(size=(n, 4)) + 3 * np.eye(4)[t], t


def test_archives(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    x, t = kinds()
    options = ("data.npz", "--quiet", "--epochs", "20", "--layers", "10 relu", "--lr", "0.02")

    def shown(**arrays: Any) -> dict[str, Any]:
        np.savez(tmp_path / "data.npz", **arrays)
        code, found = asked(capsys, *options)
        assert code == 0
        return found

    def names() -> list[str]:
        return tinynn.load("model.npz").metadata["classes"]

    assert shown(x=x, t=t)["validation"]["accuracy"] > 0.8
    assert shown(x=x, t=np.array(["a", "b", "c"])[t])["validation"]["accuracy"] > 0.8
    assert names() == ["a", "b", "c"]
    assert shown(x=x.astype("f4"), t=np.eye(3)[t])["validation"]["accuracy"] > 0.8
    assert names() == ["0", "1", "2"]
    shown(x=x, t=t[:, None] * 2 - 2)
    assert names() == ["-2", "0", "2"]
    shown(x=x > 1, t=t > 1)
    assert names() == ["False", "True"]
    assert shown(x=x, t=x @ drawn().normal(size=(4, 2)))["validation"]["r2"] > 0.5
    assert shown(x=x[:, 0], t=x[:, 0] * 2.0)["network"][-3] == "Affine(1)"
    keras = shown(x_train=x, y_train=t, x_test=x[:30], y_test=t[:30])
    assert (keras["rows"], keras["validation"]["rows"]) == (60, 30)
    assert shown(x_train=x, y_train=t)["rows"] == 48
    colored = shown(x=drawn().integers(0, 255, (60, 6, 6, 3), np.uint8), t=t)
    assert colored["network"][1] != "Permute(2, 0, 1)"
    _, found = asked(capsys, *options[:-4], "--layers", "conv:2:3 globalaveragepool")
    assert found["network"][1] == "Permute(2, 0, 1)"
    np.savez(tmp_path / "data.npz", x=drawn().normal(size=(60, 1, 6, 6)), t=t)
    _, found = asked(capsys, *options[:-4], "--layers", "conv:2:3")
    assert found["network"][1] == "Conv2D(2, 3)"


def test_another_file_to_validate_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flowers(tmp_path / "train.csv")
    (tmp_path / "test.csv").write_text("kind,petal,year,constant\nrose,3e-6,2004,1\nlily,6e-6,2008,1\n")
    _, found = asked(capsys, "train.csv", "--validation", "test.csv", "--quiet")
    assert (found["rows"], found["validation"]["rows"]) == (150, 2)
    x, t = kinds()
    np.savez("train.npz", x=x, t=np.array(["a", "b", "c"])[t])
    np.savez("test.npz", x=x, t=np.array(["a", "c", "c"])[t])
    _, found = asked(capsys, "train.npz", "--validation", "test.npz", "--quiet", "--epochs", "30")
    assert 0.5 < found["validation"]["accuracy"] < 0.8
    np.savez("test.npz", x=x, t=np.array(["a", "b", "x"])[t])
    assert "classes that are not known" in refusal_after(capsys, "train.npz", "--validation", "test.npz")
    np.savez("test.npz", x=x[:, :3], t=np.array(["a", "b", "c"])[t])
    assert "rows of another form" in refusal_after(capsys, "train.npz", "--validation", "test.npz")


def refusal_after(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    Path("model.npz").unlink(missing_ok=True)
    capsys.readouterr()
    return refusal(capsys, *arguments)


def test_a_resumed_run_gives_the_bits_of_one_that_was_not_interrupted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = str(flowers(tmp_path / "flowers.csv"))
    options = ["train", data, "--quiet", "--layers", "8 relu dropout:0.3", "--checkpoint"]
    assert main([*options, "once", "--epochs", "6", "--out", "once.npz"]) == 0
    for epochs in ("2", "5", "6"):
        again = [*options, "parts", "--epochs", epochs, "--out", "parts.npz", "--resume", "--every", "3"]
        assert main(again) == 0
    assert Path("once.npz").read_bytes() == Path("parts.npz").read_bytes()
    assert main([*options, "once", "--epochs", "6", "--out", "other.npz"]) == 2
    assert "--resume to go on" in capsys.readouterr().err
    assert not Path("other.npz").exists()


def test_patience_ends_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = flowers(tmp_path / "flowers.csv")
    code, found = asked(capsys, str(path), "--patience", "2", "--lr", "0.5", "--epochs", "100", "--quiet")
    assert (code, found["stopped"]) == (0, "early")
    assert len(found["history"]["loss"]) < 100


def test_a_run_that_diverges_is_a_no(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = prices(tmp_path / "prices.csv")
    code, found = asked(capsys, str(path), "--optimizer", "sgd", "--lr", "1e6", "--quiet")
    assert code == 1
    assert "diverged" in found["diverged"]
    assert not Path("model.npz").exists()
    assert main(["train", str(path), "--optimizer", "sgd", "--lr", "1e6", "--quiet"]) == 1
    assert "fix: --lr 100000" in capsys.readouterr().err


def test_reports_are_fits(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    module = sys.modules["tinynn.training.fit"]
    real = module.fit

    def stand_in(*arguments: Any, report: Any = None, **options: Any) -> Any:
        given["report"] = report
        return real(*arguments, **options)

    monkeypatch.setattr(module, "fit", stand_in)
    path = flowers(tmp_path / "flowers.csv")
    asked(capsys, str(path), "--quiet", "--epochs", "1")
    assert given == {"report": None}
    asked(capsys, str(path), "--quiet", "--epochs", "1", "--report", "deep/run.html")
    assert given == {"report": "deep/run.html"}
    assert Path("deep").is_dir()


def test_what_cannot_begin_is_told_in_two_lines_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(flowers(tmp_path / "flowers.csv"))
    says = {
        (): "required: DATA",
        ("none.csv",): "does not exist",
        (path, "--layers", "30 rleu"): "did you mean relu",
        (path, "--layers", "conv:3:3"): "needs images",
        (path, "--layers", "30:W=glorto"): "there is no value 'glorto'",
        (path, "--target", "kin"): "'kind'?",
        (path, "--loss", "mse"): "no loss 'mse'",
        (path, "--loss", "huber"): "line 2",
        (path, "--optimizer", "adm"): "did you mean adam",
        (path, "--optimizer", "adamw", "--l2", "0.1"): "weight_decay",
        (path, "--lr", "0"): "learning rate",
        (path, "--lr", "fast"): "--lr",
        (path, "--epochs", "0"): "at least 1",
        (path, "--batch", "1.5"): "at least 1",
        (path, "--every", "3"): "--checkpoint DIR --every",
        (path, "--resume"): "--checkpoint DIR --resume",
        (path, "--seed", "-1"): "--seed 0",
        (path, "--validation", "1"): "0.2",
        (path, "--validation", "nan"): "0.2",
        (path, "--validation", "0.001"): "no rows",
        (path, "--validation", "none.csv"): "does not exist",
        (path, "--validation", "0", "--patience", "3"): "--validation 0.2",
        (path, "--backend", "torch"): "invalid choice",
        (path, "--out", str(tmp_path)): "folder",
        (path, "--out", f"{path}/model.npz"): "folder",
        (path, "--json", str(tmp_path)): "folder",
        (path, "--epoch", "3"): "unrecognized",
        (str(tmp_path),): "train-images",
        (str(tmp_path), "--loss", "huber"): "classes",
        ("mnist", "--loss", "huber"): "classes",
        ("mnist", "--target", "a"): "--target is about CSV files",
        (str(tmp_path), "--target", "a"): "--target is about CSV files",
    }
    for arguments, said in says.items():
        assert said in refusal(capsys, *arguments), arguments
    assert [entry.name for entry in tmp_path.iterdir()] == ["flowers.csv"]


@pytest.mark.parametrize(
    ("x", "t", "says"),
    [
        (np.ones((3, 2)), np.arange(2), "belong together"),
        (np.array([[np.nan]]), np.ones(1), "not finite"),
        (np.array([[1e300]]), np.ones(1), "too large"),
        (np.array([["a"]]), np.ones(1), "texts"),
        (np.ones((2, 1)), np.array([1, np.nan]), "not finite"),
        (np.ones((2, 1)), np.ones((2, 2, 2)), "fit no loss"),
        (np.ones((2, 1)), np.array(["a", "a"]), "no classes"),
        (np.ones((2, 1)), np.array(["a", "b\x07"]), "no classes"),
        (np.ones((1500, 1)), np.arange(1500), "--loss meansquarederror"),
    ],
)
def test_archives_that_cannot_be_learned_from(
    x: np.ndarray, t: np.ndarray, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("data.npz", x=x, t=t)
    assert says in refusal(capsys, "data.npz")


def test_more_archives_that_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    x, t = kinds()
    np.savez("data.npz", x=x, t=np.array(["a", "b", "c"])[t])
    assert "texts" in refusal(capsys, "data.npz", "--loss", "huber")
    np.savez("data.npz", x=x, t=x)
    assert "fit no loss" in refusal(capsys, "data.npz", "--loss", "quadraticcost")
    for x_test, y_test in ((x[:, :2], t), (x[:3], t), (x, t[:, None]), (x, np.array(["a", "b", "c"])[t])):
        np.savez("data.npz", x_train=x, y_train=t, x_test=x_test, y_test=y_test)
        assert "belong together" in refusal(capsys, "data.npz")
    np.savez("data.npz", x=x, t=np.where(t == 1, np.nan, t))
    assert "not finite" in refusal(capsys, "data.npz", "--loss", "softmaxcrossentropy")
    Path("large.csv").write_text("a,t\n1,x\n1e60,y\n")
    assert "line 3" in refusal(capsys, "large.csv")
    Path("large.csv").write_text("a,t\n1,0.5\n1,1e60\n")
    assert "target is too large" in refusal(capsys, "large.csv")


def test_few_rows_are_not_split_and_a_constant_target_can_be_learned(capsys: pytest.CaptureFixture[str]) -> None:
    Path("few.csv").write_text("a,t\n1,0.5\n2,0.5\n3,0.5\n")
    code, found = asked(capsys, "few.csv", "--quiet", "--epochs", "2")
    assert (code, found["validation"], found["rows"]) == (0, None, 3)
    flowers(Path("flowers.csv"))
    code, found = asked(capsys, "flowers.csv", "--quiet", "--epochs", "2", "--validation", "0")
    assert (code, found["validation"], found["rows"]) == (0, None, 150)
    code, found = asked(capsys, "few.csv", "--quiet", "--epochs", "2", "--validation", "few.csv")
    assert found["validation"]["r2"] is None
    Path("0.2").write_text("another file, whose name is a share by chance")
    _, found = asked(capsys, "flowers.csv", "--quiet", "--epochs", "2")
    assert (found["rows"], found["validation"]["rows"]) == (120, 30)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_ctrl_c_keeps_what_was_learned(checkpoint: bool, tmp_path: Path) -> None:
    flowers(tmp_path / "flowers.csv", rows=3000)
    command = [*COMMAND, "train", "flowers.csv", "--epochs", "100000", "--json", "result.json"]
    if checkpoint:
        command += ["--checkpoint", "kept", "--every", "50"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as run:
        assert run.stderr is not None
        assert run.stderr.readline().startswith("epoch ")
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
        assert run.wait(60) == 130, rest
    assert "Traceback" not in rest
    assert json.loads(Path("result.json").read_text())["stopped"] == "interrupted"
    assert tinynn.load("model.npz").metadata["target"] == "kind"
    if checkpoint:
        kept = sorted(Path("kept").glob("step-*.npz"))
        again = tinynn.load(kept[-1])
        x = np.array([[2000, 0, 0.1]])
        np.testing.assert_array_equal(again.predict(x), tinynn.load("model.npz").predict(x))


def test_interrupted_in_this_process(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = flowers(tmp_path / "flowers.csv")
    pid, ended = os.getpid(), time.monotonic() + 60

    def interrupt(history: Any) -> None:
        assert time.monotonic() < ended
        os.kill(pid, signal.SIGINT)

    module = sys.modules["tinynn.training.fit"]
    real = module.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", lambda *a, **k: real(*a, callbacks=[interrupt], **k))
        code, found = asked(capsys, str(path), "--epochs", "50", "--quiet")
    assert (code, found["stopped"]) == (130, "interrupted")
    assert tinynn.load("model.npz").metadata["target"] == "kind"


def test_the_epochs_follow_from_the_rows() -> None:
    assert [min(max(train.ENOUGH // rows, 10), 100) for rows in (100, 10_000, 60_000)] == [100, 30, 10]
