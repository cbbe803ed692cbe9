"""`tinynn predict`: pictures, tables and archives; labels by name, numbers in their own units; what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tinynn import (
    SGD,
    Affine,
    BinaryCrossEntropy,
    Graph,
    MeanSquaredError,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    SoftmaxCrossEntropy,
    datasets,
    fit,
)
from tinynn.app.command import main


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(*layers: Any, shape: tuple[int, ...] = (2,), name: str = "net.npz", **metadata: Any) -> Sequential:
    net = Sequential(*layers).build(shape, seed=1)
    if metadata:
        net.metadata = metadata
    net.save(name)
    return net


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[list[Any], str]:
    """The answers as JSON, and what is on standard error."""
    capsys.readouterr()
    assert main(["predict", *arguments, "--json", "-"]) == code
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_rows_of_a_table_get_the_names_of_the_classes(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["pear", "apple", "plum", "bell\x07"]
    net = saved(Affine(4), SoftmaxCrossEntropy(), classes=names, features=["b", "a"], target="t")
    Path("rows.csv").write_text("a,id,b,t\n1,7,2,pear\n\n-3,8,0.5,?\n")
    y = net.predict(np.array([[2, 1], [0.5, -3]]))
    answers, _ = asked(capsys, "net.npz", "rows.csv")
    for answer, row, line in zip(answers, y, (2, 4), strict=True):
        best = np.argsort(-row)
        assert (answer["file"], answer["line"], answer["label"]) == ("rows.csv", line, names[best[0]])
        assert answer["probability"] == pytest.approx(row[best[0]])
        assert [other["label"] for other in answer["runners_up"]] == [names[k] for k in best[1:3]]
    assert main(["predict", "net.npz", "rows.csv", "--top", "4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("rows.csv:2  ") and "\nrows.csv:4  " in out and "\x07" not in out and r"'bell\x07'" in out
    assert main(["predict", "net.npz", "rows.csv", "--top", "1"]) == 0
    assert "(" not in capsys.readouterr().out


def test_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    net = saved(Affine(1), Rescale(1e3), MeanSquaredError())
    Path("rows.csv").write_text("1,2\n3,4\n")
    y = net.predict(np.array([[1, 2], [3, 4]]))[:, 0]
    answers, _ = asked(capsys, "net.npz", "rows.csv")
    assert [answer["value"] for answer in answers] == pytest.approx(y.tolist())
    assert main(["predict", "net.npz", "rows.csv"]) == 0
    assert capsys.readouterr().out.startswith(f"rows.csv:1  {y[0]:g}\n")
    saved(Affine(2))
    assert len(asked(capsys, "net.npz", "rows.csv")[0][0]["value"]) == 2
    assert main(["predict", "net.npz", "rows.csv"]) == 0


def test_one_probability_stands_for_two_classes(capsys: pytest.CaptureFixture[str]) -> None:
    net = saved(Affine(1), BinaryCrossEntropy(), classes=["no", "yes"])
    Path("rows.csv").write_text("1,2\n-1,-2\n")
    answers, _ = asked(capsys, "net.npz", "rows.csv")
    for answer, p in zip(answers, net.predict(np.array([[1, 2], [-1, -2]]))[:, 0], strict=True):
        assert (answer["label"], answer["runners_up"][0]["label"]) == (("yes", "no") if p > 0.5 else ("no", "yes"))
        assert answer["probability"] == pytest.approx(max(p, 1 - p))
        assert answer["runners_up"][0]["probability"] == pytest.approx(min(p, 1 - p))
    assert {answer["label"] for answer in answers} == {"no", "yes"}
    saved(Affine(2), BinaryCrossEntropy())  # two questions, each with an answer of its own
    assert len(asked(capsys, "net.npz", "rows.csv")[0][0]["value"]) == 2
    net = saved(Affine(1), QuadraticCost())  # as in XOR: a number, and no class that would always be the same
    assert asked(capsys, "net.npz", "rows.csv")[0][0]["value"] == pytest.approx(net.predict(np.array([[1, 2]]))[0, 0])


def test_archives_and_scores(capsys: pytest.CaptureFixture[str]) -> None:
    net = saved(Affine(3), QuadraticCost(), shape=(2, 2))
    x = np.arange(8.0).reshape(2, 4)
    np.savez("x.npz", x=x)
    np.savez("keras.npz", x_train=x[:1], x_test=x.reshape(2, 2, 2))
    first, _ = asked(capsys, "net.npz", "x.npz")
    second, _ = asked(capsys, "net.npz", "keras.npz")
    assert [(a["row"], a["label"], a["score"]) for a in first] == [(a["row"], a["label"], a["score"]) for a in second]
    assert first[1]["score"] == pytest.approx(net.predict(x.reshape(2, 2, 2))[1].max())
    assert main(["predict", "net.npz", "x.npz"]) == 0
    saved(Affine(3), QuadraticCost(), shape=(2, 2), classes=["too", "few"])
    assert asked(capsys, "net.npz", "x.npz")[0][0]["label"] in "012"
    np.savez("x.npz", x=x[:, :3])
    _, told = asked(capsys, "net.npz", "x.npz", code=2)
    assert told.count("\n") == 2 and "(N, 2, 2)" in told


def test_pictures_of_any_size(capsys: pytest.CaptureFixture[str]) -> None:
    train, test = datasets.mnist()
    net = saved(Rescale(1 / 255), Affine(40), ReLU(), Affine(10), SoftmaxCrossEntropy(), shape=(28, 28))
    fit(net, SGD(0.2), (train.images[:3000], train.labels[:3000]), epochs=4, progress=False)
    net.save("digits.npz")
    paths = []
    for i, (image, label) in enumerate(zip(test.images[:20], test.labels[:20], strict=True)):
        paper = np.full((300, 200), 255, np.uint8)  # dark on white, large, in a corner
        paper[5:117, 60:172] = 255 - np.kron(image, np.ones((4, 4), np.uint8))
        paths.append(f"{label}-{i}.{'png' if i % 2 else 'jpg'}")
        Image.fromarray(paper).save(paths[-1])
    answers, _ = asked(capsys, "digits.npz", *paths)
    assert sum(answer["label"] == path[0] for answer, path in zip(answers, paths, strict=True)) >= 16
    assert all(answer.keys() == {"file", "label", "probability", "runners_up"} for answer in answers)
    Image.new("L", (50, 50), 255).save("blank.png")
    Path("torn.png").write_bytes(Path(paths[1]).read_bytes()[:60])
    answers, told = asked(capsys, "digits.npz", "blank.png", paths[0], "torn.png", "none.png", code=2)
    assert ["error" in answer for answer in answers] == [True, False, True, True]
    assert told.count("tinynn: ") == 3 and "nothing is drawn" in told


@pytest.mark.parametrize("header", [True, False])
def test_pictures_for_a_network_that_learned_from_a_table(header: bool, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = datasets.mnist()
    rows = np.column_stack([train.labels[:1500], train.images[:1500].reshape(1500, 784)])
    names = ",".join(["label", *(f"pixel{i}" for i in range(784))]) if header else ""
    np.savetxt("mnist.csv", rows, fmt="%d", delimiter=",", header=names, comments="")
    options = ["--layers", "30 relu", "--epochs", "12", "--validation", "0", "--quiet"]
    assert main(["train", "mnist.csv", "--target", "label" if header else "1", *options]) == 0
    paths = [f"{label}-{i}.png" for i, label in enumerate(test.labels[:20])]
    for path, image in zip(paths, test.images, strict=False):
        Image.fromarray(255 - np.kron(image, np.ones((3, 3), np.uint8))).save(path)
    answers, _ = asked(capsys, "model.npz", *paths)
    assert sum(answer["label"] == path[0] for answer, path in zip(answers, paths, strict=True)) >= 15


def test_what_cannot_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    saved(Affine(2), SoftmaxCrossEntropy(), features=["a", "b"])
    saved(Affine(2), name="rows.npz")
    saved(Affine(2), name="small.npz", shape=(8, 8))
    Path("rows.csv").write_text("a,c\n1,2\n")
    Path("four.png").write_bytes(b"")
    for arguments, says in {
        ("net.npz", "rows.csv"): "no column 'b'",
        ("net.npz", "four.png"): "one of 2 columns",
        ("rows.npz", "four.png"): "inputs (2,)",
        ("small.npz", "four.png"): "x of shape (N, 8, 8)",
    }.items():
        answers, told = asked(capsys, *arguments, code=2)
        assert says in told and [*answers[0]] == ["file", "error"]
    for arguments in (["none.npz", "rows.csv"], ["rows.csv", "rows.csv"], ["net.npz"], ["net.npz", "x", "--top", "0"]):
        assert main(["predict", *arguments]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 2)
    Graph(y=(Affine(2), "x"), z=(Affine(2), "x")).build((2,)).save("two.npz")
    assert main(["predict", "two.npz", "rows.csv"]) == 2
    assert "several" in capsys.readouterr().err
    saved(Affine(2), SoftmaxCrossEntropy(), features=[1, 2], classes="ab")  # metadata are whatever somebody wrote
    Path("rows.csv").write_text("1,2\n")
    assert asked(capsys, "net.npz", "rows.csv")[0][0]["label"] in "01"
