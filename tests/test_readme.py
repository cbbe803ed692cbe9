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
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
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
    named = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"(?:examples|benchmarks)/[\w./]+\w", README)
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
    jobs = result["jobs"]
    nielsen, lenet, big = (jobs[name] for name in ("nielsen", "lenet", "mlp1024"))
    of = {name: ratios["of_medians"] for name, ratios in nielsen["ratios"].items()}
    assert f"**{of['torch']:.2f}** of the time of PyTorch" in README
    assert f"**{of['jax_jit']:.2f}** times that of JAX's jitted step" in README
    assert f"**{of['bare_numpy']:.2f}** times one of bare NumPy" in README
    assert f"**{big['goals'][0]['of_medians']:.2f}** times that of the best peer" in README
    assert f"**{lenet['ratios']['torch']['of_medians']:.2f}** times that of PyTorch eager" in README
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8").partition("## Nielsen")[0]
    met, missed = page.count("**met**"), page.count("**missed**")
    assert f"**{met} of {met + missed}** of the goals met" in " ".join(README.split())


def test_accuracy_is_that_of_the_committed_run() -> None:
    default = next(case for case in measured("mnist_accuracy.json")["cases"] if not case["arguments"])
    assert f"{100 * default['median']:.1f} % in under half a minute" in README
    assert default["seconds"] < 30


def test_what_convolutions_reach_is_that_of_the_committed_run() -> None:
    assert f"{100 * measured('cnn_accuracy.json')['median']:.2f} % of the test digits" in README


def measured(name: str) -> dict[str, Any]:
    """What a committed run of a benchmark wrote."""
    return json.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))
