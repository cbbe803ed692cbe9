"""The page on ONNX: its tables are what the code does, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.onnx_tables import PAGE, operators, page
from tinynn.onnx.writing import writers


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_what_a_layer_becomes() -> None:
    assert operators("Affine") == ["Gemm"]
    assert operators("SoftmaxCrossEntropy") == ["Softmax"]
    assert operators("Huber") == []
    assert operators("Concat") == ["Concat"]


def test_the_code_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(writers)
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), known)
    finally:
        writers.clear()
        writers.update(before)
    assert len(blocks) == 5
    assert (tmp_path / "digits.onnx").exists()
