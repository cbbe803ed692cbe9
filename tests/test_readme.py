"""The README tells the truth: its programs run and print what stands below them, its commands and files exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import counts

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
MARK = "----- next block -----"
NUMBER = re.compile(r"-?\d+\.\d+")


def programs() -> list[tuple[str, str | None]]:
    """Every Python block, with the text block that follows it as the expected output."""
    following = [*BLOCKS[1:], ("", "")]
    return [
        (code, text if kind == "text" else None)
        for (language, code), (kind, text) in zip(BLOCKS, following, strict=True)
        if language == "python"
    ]


def test_programs_run_and_print_what_the_readme_shows(tmp_path: Path) -> None:
    """All of them in one script, since a reader too goes on with the names of the block before."""
    assert len(programs()) >= 4
    script = tmp_path / "readme.py"
    script.write_text(f"\nprint({MARK!r})\n".join(code for code, _ in programs()), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for printed, (_, expected) in zip(done.stdout.split(MARK + "\n"), programs(), strict=True):
        assert same_text(printed, expected or "")


def same_text(got: str, expected: str) -> bool:
    """Equal but for the last digits of decimal fractions, which another BLAS may round differently."""
    numbers, wanted = ([float(n) for n in NUMBER.findall(text)] for text in (got, expected))
    assert NUMBER.sub("#", got) == NUMBER.sub("#", expected)
    assert numbers == pytest.approx(wanted, rel=5e-3)
    return True


def test_a_wrong_output_in_the_readme_is_noticed() -> None:
    with pytest.raises(AssertionError):
        same_text("accuracy: 0.97", "accuracy: 0.91")
    with pytest.raises(AssertionError):
        same_text("digits: [1 2]", "digits: [1 3]")


def test_make_targets_exist() -> None:
    targets = re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)
    assert {"mnist", "test", "bench"} <= set(targets)
    for target in set(targets):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_files_and_pictures_exist() -> None:
    named = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"(?:examples|benchmarks)/[\w./-]+\w", README)
    assert len(named) > 10
    for name in named:
        assert (ROOT / name).exists(), name


def test_extras_exist() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"(?:tinynn-xp|\.)\[(\w+)\]", README) + re.findall(r"or `\[(\w+)\]`", README)
    assert {"test", "download", "cuda12", "cuda13"} <= set(extras)
    assert set(extras) <= set(metadata["optional-dependencies"])


def test_speed_is_that_of_the_committed_run() -> None:
    result = measured("results.json")
    assert result["mode"] == "full"
    text, jobs = " ".join(README.split()), result["jobs"]

    def ratio(job: str, ours: str, other: str) -> str:
        return f"**{jobs[job]['ratios'][ours][other]['of_medians']:.2f}**"

    llvm, numpy = "tinynn_llvm", "tinynn"
    assert f"{ratio('nielsen', llvm, 'torch')} of the time of PyTorch eager" in text
    assert f"{ratio('nielsen', llvm, 'jax_jit')} of that of JAX's jitted step" in text
    assert f"{ratio('nielsen', llvm, 'jax_scan')} of JAX's epoch as one scan" in text
    assert f"{ratio('nielsen', numpy, 'torch')} of PyTorch" in text
    assert f"{ratio('nielsen', numpy, 'jax_jit')} of the jitted step" in text
    assert f"{ratio('nielsen', numpy, 'bare_numpy')} times a step of bare NumPy" in text
    alone, any_of_ours = (goal["by"] for goal in jobs["mlp1024"]["goals"][:2])
    assert f"**{any_of_ours[llvm]['of_medians']:.2f}** of the time of the best peer" in text
    assert f"**{alone[numpy]['of_medians']:.2f}** on NumPy alone" in text
    assert f"{ratio('lenet', llvm, 'torch')} of the time of PyTorch eager by llvm" in text
    assert f"{ratio('lenet', numpy, 'torch')} on NumPy alone" in text
    assert f"{ratio('predict', llvm, 'onnxruntime')} of the time of ONNX Runtime by llvm" in text
    assert f"{ratio('predict', numpy, 'onnxruntime')} on NumPy alone" in text
    count = counts(result)
    assert f"**{count['met']} of {count['all']}** of the goals met, **{count['alone']}** of them by NumPy alone" in text


def test_speed_on_a_gpu_is_that_of_the_committed_run() -> None:
    result = measured("results-gpu.json")
    text, jobs = " ".join(README.split()), result["jobs"]

    def ratio(job: str, other: str) -> str:
        medians = [jobs[job]["contenders"][name]["median"] for name in ("gpu_captured", other)]
        return f"**{medians[0] / medians[1]:.2f}**"

    goals = [goal for job in jobs.values() for goal in job["goals"]]
    assert f"**{sum(goal['met'] is True for goal in goals)} of {len(goals)}** goals met" in text
    assert f"{ratio('mlp100-128', 'gpu_torch')} of the time of PyTorch eager" in text
    assert f"{ratio('mlp100-128', 'gpu_jax')} of JAX's jitted step" in text
    assert f"{ratio('mlp100-128', 'cpu_numpy')} of NumPy's on that machine's CPU" in text
    assert f"{ratio('lenet', 'gpu_torch')} of PyTorch and {ratio('lenet', 'gpu_jax')} of JAX" in text
    step = jobs["mlp100-128"]["contenders"]["gpu_captured"]["median"]
    assert f"20 us for the first step takes **{step:.1f}**" in text


def test_accuracy_is_that_of_the_committed_run() -> None:
    default = next(case for case in measured("mnist_accuracy.json")["cases"] if not case["arguments"])
    assert f"{100 * default['median']:.1f} % in under half a minute" in README
    assert default["seconds"] < 30


def test_what_convolutions_reach_is_that_of_the_committed_run() -> None:
    assert f"{100 * measured('cnn_accuracy.json')['median']:.2f} % of the test digits" in README


def measured(name: str) -> dict[str, Any]:
    """What a committed run of a benchmark wrote."""
    return json.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))
