"""`tinynn export`, `bench`, `doctor --json`, and what holds for all commands: help, exit codes, pipes, Ctrl-C."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynn
import tinynn.onnx
from tests.command_helpers import COMMAND, ENVIRONMENT
from tinynn import Affine, Graph, MeanSquaredError, ReLU, Rescale, Sequential, SoftmaxCrossEntropy
from tinynn.app.command import bench, main
from tinynn.version import __version__


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model() -> Sequential:
    net = Sequential(Affine(4), ReLU(), Affine(3), SoftmaxCrossEntropy()).build((2,), seed=1)
    net.metadata = {"classes": ["a", "b", "c"]}
    net.save("net.npz")
    return net


# --- export


def test_safetensors(model: Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "net.npz", "--safetensors", "net.safetensors", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "net.npz",
        "form": "safetensors",
        "file": "net.safetensors",
    }
    again = tinynn.load("net.safetensors")
    assert again.metadata == model.metadata
    assert again.predict(np.ones((1, 2))).tobytes() == model.predict(np.ones((1, 2))).tobytes()
    assert main(["export", "net.npz", "--safetensors", "net.st"]) == 2
    assert "--safetensors net.st.safetensors" in capsys.readouterr().err


def test_onnx(model: Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "net.npz", "--onnx", "net.onnx"]) == 0
    assert capsys.readouterr().out == "net.onnx: net.npz as onnx\n"
    again = tinynn.onnx.import_("net.onnx")
    np.testing.assert_array_equal(again.predict(np.eye(2)), model.predict(np.eye(2)))


def test_html(model: Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    Sequential(Rescale(1 / 255), Affine(10), SoftmaxCrossEntropy()).build((28, 28)).save("digits.npz")
    assert main(["export", "digits.npz", "--html", "digits.html"]) == 0
    assert capsys.readouterr().out == "digits.html: digits.npz as html\n"
    assert Path("digits.html").read_text().startswith("<!doctype html>")
    assert main(["export", "net.npz", "--html", "net.html"]) == 2
    assert "784" in capsys.readouterr().err and not Path("net.html").exists()


def test_what_cannot_be_exported(model: Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["net.npz"], ["none.npz", "--html", "a"], ["net.npz", "--html", "a", "--onnx", "b"]):
        assert main(["export", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 2
    assert sorted(entry.name for entry in Path().iterdir()) == ["net.npz"]


# --- bench


def test_bench_measures_each_backend_that_is_there(
    model: Sequential, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "LEAST", 0.001)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert (
        main(["bench", "net.npz", "--rounds", "2", "--batch", "8", "--backends", "numpy", "cupy", "--json", "-"]) == 0
    )
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["batch"] == 8 and [*found["microseconds"]] == ["numpy"]
    assert all(0 < value < 1e6 for value in found["microseconds"]["numpy"].values())
    assert "cupy" in printed.err and "numpy" in printed.err and "training step" in printed.err
    options = ["bench", "--rounds", "1", "--batch", "4", "--backends", "numpy"]
    assert main([*options, "--layers", "conv:2:3 relu", "--shape", "1x6x6"]) == 0
    assert main(options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("Conv2D(2, 3)" in line for line in lines) and lines[-1].startswith("numpy ")


def test_bench_of_other_networks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LEAST", 0.001)
    options = ["--rounds", "1", "--backends", "numpy"]
    Sequential(Affine(2), MeanSquaredError()).build((3,)).save("numbers.npz")
    Graph(y=(Affine(2), "a"), loss=(MeanSquaredError(), "y", "t")).build((3,)).save("graph.npz")
    for name in ("numbers.npz", "graph.npz"):
        assert main(["bench", name, *options]) == 0
    Sequential(Affine(2)).build((3,)).save("open.npz")
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "cupy", None)
    says = {
        ("open.npz", *options): "ends in one loss",
        ("open.npz", "--layers", "30"): "its own layers",
        ("--shape", "3x"): "--shape 4",
        ("--layers", "rleu"): "did you mean relu",
        ("--backends", "cupy"): "tinynn-xp[cuda",
        ("--backends", "cupy", "cupy"): "tinynn doctor",
        ("--backends", "torch"): "invalid choice",
    }
    for arguments, said in says.items():
        assert main(["bench", *arguments]) == 2
        assert said in capsys.readouterr().err


def test_the_benchmark_changes_nothing_in_the_model(model: Sequential) -> None:
    before = Path("net.npz").read_bytes()
    assert main(["bench", "net.npz", "--rounds", "1", "--backends", "numpy", "--batch", "2"]) == 0
    assert Path("net.npz").read_bytes() == before


# --- doctor


def test_the_doctor_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json", "-"])
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["ok"] is (code == 0)
    assert found["conclusion"] in printed.err
    assert {item["name"] for item in found["items"]} >= {"Python", "NumPy"}
    assert {item["verdict"] for item in found["items"]} <= {"ok", "missing", "wrong", "-"}
    assert main(["doctor", "--json", "found.json"]) == code
    assert json.loads(Path("found.json").read_text())["commands"] == found["commands"]
    assert found["conclusion"] in capsys.readouterr().out


# --- all commands


COMMANDS = ("train", "predict", "serve", "export", "check", "doctor", "bench")


@pytest.mark.parametrize("command", [(), *[(name,) for name in COMMANDS]])
def test_help_has_an_example_and_the_exit_codes(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert f"Example: tinynn {' '.join(command)}" in out
    assert ("\nExit code: 0 " in out) is bool(command)
    assert max(map(len, out.splitlines())) <= 120


def test_version_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"tinynn {__version__}\n")
    for wrong in ([], ["trian"], ["--vers"]):
        assert main(wrong) == 2
        assert "fix: tinynn --help" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, contextlib, tinynn; before = set(sys.modules)\n"
        "from tinynn.app.command import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    brought = set(done.stdout.splitlines()[-1].split())
    own = {name for name in brought if name.startswith("tinynn.")}
    assert all(name.startswith("tinynn.app") for name in own), own
    assert not brought & {"zipfile", "tqdm", "matplotlib", "PIL", "csv", "subprocess", "ctypes", "importlib.metadata"}


@pytest.mark.parametrize(
    ("error", "code", "says"), [(KeyboardInterrupt, 130, "interrupted"), (MemoryError, 2, "memory")]
)
def test_ctrl_c_and_too_little_memory(
    error: type[BaseException],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def raises(options: Any) -> int:
        raise error

    monkeypatch.setattr(bench, "measured", raises)
    assert main(["bench"]) == code
    assert says in capsys.readouterr().err


def test_a_warning_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def warns(options: Any) -> dict[str, Any]:
        warnings.warn("other\nbits", RuntimeWarning, stacklevel=1)
        return {"numpy": {"step": 1.0, "predict": 1.0}}

    monkeypatch.setattr(bench, "measured", warns)
    assert main(["bench"]) == 0
    assert capsys.readouterr().err == "tinynn: note: other bits\n"


def test_what_a_file_holds_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.csv").write_text("Größe,\x1b[31mb,t\n1,2,x\n2,3,y\n", encoding="utf-8")
    assert main(["train", "data.csv", "--target", "z"]) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err and r"Größe, \x1b[31mb, t" in err


def test_a_pipe_that_nobody_reads_is_left_in_silence(model: Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rows.csv").write_text("a,b\n" + "1,2\n" * 20_000)
    command = [*COMMAND, "predict", "net.npz", "rows.csv"]
    net = Sequential(Affine(4), SoftmaxCrossEntropy()).build((2,))
    net.metadata = {"features": ["a", "b"]}
    net.save("net.npz")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as run:
        assert run.stdout is not None and run.stderr is not None
        assert run.stdout.readline().startswith(b"rows.csv:2  ")
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait(60) == 141

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert main(["predict", "net.npz", "rows.csv"]) == 141


def test_a_real_process_from_data_to_answer() -> None:
    rng = np.random.default_rng(0)
    rows = [(kind, *(rng.normal(size=2) + 4 * kind)) for kind in rng.integers(0, 2, 100)]
    Path("data.csv").write_text("".join(f"{a},{b},{'no' if kind else 'yes'}\n" for kind, a, b in rows))

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=ENVIRONMENT)

    trained = call("train", "data.csv", "--layers", "10 relu", "--lr", "0.01")
    assert trained.returncode == 0, trained.stderr
    Path("ask.csv").write_text("0,0\n4,4\n")
    answers = call("predict", "model.npz", "ask.csv").stdout.splitlines()
    assert [answer.split()[1] for answer in answers] == ["yes", "no"]
    failed = call("train", "data.csv", "--layers", "10 relu 3x")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 2)
