"""`tinynn check`: a right layer, a wrong one, and what cannot be asked; the table, the score and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command_helpers import COMMAND, ENVIRONMENT
from tinynn.app.command import main
from tinynn.testing.compliance import ALL

LAYERS = '''
"""Layers of a student's."""

from tinynn import Layer
from tinynn.init import ones

print("hello from the module")


class Gain(Layer):
    """y = g * x."""

    def build(self, shape):
        self.param("g", shape, ones)
        return shape

    def forward(self, x):
        return x * self.g, x

    def backward(self, dy, x):
        self.dg[...] = (dy * x).sum(axis=0)
        return dy * self.g


class Wrong(Gain):
    """Gain with a mistake in its gradient."""

    def backward(self, dy, x):
        self.dg[...] = dy.sum(axis=0)
        return dy * self.g


class Crash(Gain):
    """Gain that needs more than it has."""

    def predict(self, x):
        return x * self.gg


class Leaves(Gain):
    """A way to a good exit code."""

    def forward(self, x):
        raise SystemExit(0)


class Times(Layer):
    """y = k x, of rows."""

    def __init__(self, k, by=1):
        self.k = k / by

    def build(self, shape):
        if len(shape) != 1:
            raise ValueError("rows only")
        return shape

    def forward(self, x):
        return x * self.k, None

    def backward(self, dy, cache):
        return dy * self.k


class NeverBuilt(Gain):
    """A build that fails for every shape."""

    def build(self, shape):
        return self.param("g", shape)


class Product(Layer):
    """y = x0 * x1."""

    def forward(self, x0, x1):
        return x0 * x1, (x0, x1)

    def backward(self, dy, cache):
        return dy * cache[1], dy * cache[0]


ready_made = Gain()
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "student_layers.py").write_text(LAYERS)
    (tmp_path / "broken_layers.py").write_text("class Gain(:\n")
    (tmp_path / "leaving_layers.py").write_text("raise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("student_layers", "broken_layers", "leaving_layers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "homework").mkdir()
    (tmp_path / "homework" / "beside_it.py").write_text(LAYERS)
    (tmp_path / "homework" / "mine.py").write_text("from beside_it import Gain\n\n\nclass Mine(Gain):\n    pass\n")
    try:
        code, result = score(capsys, "homework/mine.py:Mine")
    finally:
        for name in ("beside_it", "mine"):
            sys.modules.pop(name, None)
    assert (code, result["ok"]) == (0, True)
    assert sys.path[0] == str(tmp_path / "homework")


def score(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["check", *arguments, "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_a_right_layer_scores_a_hundred(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = score(capsys, "student_layers:Gain")
    assert code == 0
    assert result["ok"] is True
    assert (result["layer"], result["shapes"], result["backend"]) == ("Gain()", [[4]], "numpy")
    assert result["score"]["percent"] == 100
    assert result["score"]["passed"] == result["score"]["total"]
    assert result["score"]["total"] + result["score"]["skipped"] == len(ALL) == len(result["checks"])


def test_a_wrong_layer_loses_what_it_gets_wrong_and_is_told_what(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = score(capsys, "student_layers.py:Wrong", "--shape", "3")
    assert code == 1
    assert result["ok"] is False
    failed = {check["name"]: check for check in result["checks"] if check["status"] == "failed"}
    assert "gradients" in failed
    assert failed["gradients"]["message"] == "the gradient dg is wrong"
    assert failed["gradients"]["where"].startswith("Wrong(), dg[")
    assert failed["gradients"]["expected"] != failed["gradients"]["got"]
    assert failed["gradients"]["fix"]
    assert all(check["seconds"] >= 0 and check["about"] for check in result["checks"])
    passed, total = result["score"]["passed"], result["score"]["total"]
    assert passed == total - len(failed)
    assert result["score"]["percent"] == round(100 * passed / total, 1) < 100


def test_a_crash_names_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = score(capsys, "student_layers:Crash")
    assert code == 1
    failed = [check for check in result["checks"] if check["status"] == "failed"]
    line = LAYERS.splitlines().index("        return x * self.gg") + 1
    assert all(check["code"].endswith(f"student_layers.py:{line} in predict") for check in failed)
    assert result["score"]["passed"] > 0


@pytest.mark.parametrize("layer", ["Leaves", "NeverBuilt"])
def test_what_never_works_scores_low_and_does_not_exit_well(layer: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = score(capsys, f"student_layers:{layer}", "--shape", "4")
    assert code == 1
    assert result["score"]["percent"] < 50


def test_settings_and_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = score(capsys, "student_layers:Times", "--arg", "3", "--kwargs", '{"by": 2}', "--shape", "5")
    assert (code, result["layer"], result["shapes"]) == (0, "Times(3, by=2)", [[5]])
    code, result = score(capsys, "student_layers:Product", "--shape", "2x3", "--shape", "2x3")
    assert (code, result["shapes"]) == (0, [[2, 3], [2, 3]])
    assert score(capsys, "tinynn:Affine", "--arg", "3")[0] == 0
    code, result = score(capsys, "tinynn:SoftmaxCrossEntropy", "--shape", "4", "--shape", "()")
    assert (code, result["shapes"]) == (0, [[4], []])


def test_the_table_is_printed_and_the_score_goes_to_its_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "student_layers:Wrong", "--json", "score.json"]) == 1
    printed = capsys.readouterr().out
    assert "FAILED  gradients" in printed
    assert "the gradient dg is wrong" in printed
    result = json.loads((folder / "score.json").read_text())
    assert f"{result['score']['passed']} of {result['score']['total']} checks passed" in printed


USAGE_ERRORS = {
    "no colon": (["student_layers"], "which class of which module?"),
    "no class": (["student_layers:Nothing"], "student_layers has no layer Nothing"),
    "no layer": (["student_layers:ready_made"], "no subclass of tinynn.Layer"),
    "the base itself": (["student_layers:Layer"], "choose one of: Gain, Wrong"),
    "no module": (["nowhere_to_be_found:Gain"], "there is no such module"),
    "no file": (["nowhere/to/be/found.py:Gain"], "there is no such file"),
    "a file that cannot be read": (["broken_layers.py:Gain"], "SyntaxError"),
    "a module that cannot be read": (["broken_layers:Gain"], "broken_layers.py, line 1"),
    "a module that ends the program": (["leaving_layers:Gain"], "SystemExit"),
    "a shape in words": (["student_layers:Gain", "--shape", "four"], "--shape 3x8x8"),
    "a shape of nothing": (["student_layers:Gain", "--shape", "0"], "--shape is no shape"),
    "half a shape": (["student_layers:Gain", "--shape", "3x"], "--shape is no shape"),
    "a shape that it does not take": (
        ["student_layers:Times", "--arg", "2", "--shape", "3x4"],
        "for example --shape 4",
    ),
    "an argument missing": (["student_layers:Times"], "missing 1 required positional argument: 'k'"),
    "an argument too many": (["student_layers:Times", "--arg", "1", "--arg", "2", "--arg", "3"], "TypeError"),
    "an argument that is no JSON": (["student_layers:Times", "--arg", "k"], "--arg is no JSON"),
    "arguments by name that are no JSON": (["student_layers:Times", "--kwargs", "{k: 3}"], "--kwargs is no JSON"),
    "arguments by name that are a list": (["student_layers:Times", "--kwargs", "[3]"], "--kwargs is no JSON object"),
    "an unknown option": (["student_layers:Gain", "--speed", "3"], "--speed"),
    "an unknown backend": (["student_layers:Gain", "--backend", "abacus"], "abacus"),
    "a negative seed": (["student_layers:Gain", "--seed", "-1"], "a seed that cannot be used"),
    "a folder that is a file": (["student_layers:Gain", "--json", "student_layers.py/score.json"], "student_layers.py"),
    "nothing": ([], "MODULE:CLASS"),
}


@pytest.mark.parametrize("name", USAGE_ERRORS)
def test_what_cannot_be_asked_is_said_in_a_line_and_a_hint(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, says = USAGE_ERRORS[name]
    assert main(["check", *arguments]) == 2
    printed = capsys.readouterr()
    first, hint = printed.err.strip().splitlines()[-2:]
    assert first.startswith("tinynn: ")
    assert hint.startswith("  fix: ") and len(hint) > 8
    assert says in f"{first} {hint}"
    assert "Traceback" not in printed.err


def test_from_the_shell(folder: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=folder, env=ENVIRONMENT)

    right = run("check", "student_layers:Gain", "--json", "-")
    assert (right.returncode, json.loads(right.stdout)["ok"]) == (0, True)
    assert "hello from the module" in right.stderr
    assert run("check", "student_layers:Wrong").returncode == 1
    wrong = run("chekc")
    assert wrong.returncode == 2
    assert "chekc" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    usage = run("check", "--help")
    assert usage.returncode == 0
    assert "--shape" in usage.stdout
