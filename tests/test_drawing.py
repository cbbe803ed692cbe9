"""The wiring as Mermaid text and as a picture."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tinynn import Add, Affine, ConfigurationError, Graph, ReLU, Residual, Sequential, SoftmaxCrossEntropy, Tanh


def net() -> Graph:
    return Graph(
        h=(Sequential(Affine(4), ReLU()), "x"),
        r=(Residual(Tanh()), "h"),
        y=(Add(), "r", "z", "x"),
        loss=(SoftmaxCrossEntropy(), "y", "t"),
    ).build((4,), (4,))


def test_mermaid_has_every_box_and_every_arrow() -> None:
    text = net().plot()
    labels = dict(re.findall(r'(n\d+)\(?\["?"([^"<(]+)', text)) | dict(re.findall(r'(n\d+)\["([^"<(]+)', text))
    boxes = {key: label.split(":")[0].strip() for key, label in labels.items()}
    assert sorted(boxes.values()) == sorted(["x", "z", "t", "0", "1", "r", "y", "loss"])
    arrows = {(boxes[a], boxes[b]) for a, b in re.findall(r"(n\d+) --> (n\d+)", text)}
    assert arrows == {
        ("x", "0"),
        ("0", "1"),
        ("1", "r"),
        ("r", "y"),
        ("z", "y"),
        ("x", "y"),
        ("y", "loss"),
        ("t", "loss"),
    }
    assert text.startswith("flowchart TD\n")
    assert text.count("subgraph") == text.count("  end") == 1


def test_a_chain_is_drawn_too() -> None:
    text = Sequential(Affine(3), SoftmaxCrossEntropy()).build((2,)).plot()
    assert re.findall(r"n\d+ --> n\d+", text) == ["n0 --> n2", "n2 --> n3", "n1 --> n3"]


def test_the_text_goes_to_a_file(tmp_path: Path) -> None:
    text = net().plot(tmp_path / "folder" / "net.mmd")
    assert (tmp_path / "folder" / "net.mmd").read_text(encoding="utf-8") == text


def test_graphviz_draws_or_says_that_its_program_is_missing(tmp_path: Path) -> None:
    if shutil.which("dot"):
        net().plot(tmp_path / "net.svg")
        assert "SoftmaxCrossEntropy" in (tmp_path / "net.svg").read_text(encoding="utf-8")
        return
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        net().plot(tmp_path / "net.svg")
    assert "dot" in str(caught.value.expected) and "Mermaid" in str(caught.value.fix)
    assert not [*tmp_path.iterdir()]
