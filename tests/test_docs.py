"""The table of layers in the docs is what the docstrings say, and they say enough."""

from __future__ import annotations

import tinynn
from docs.tables import PAGE, call, fields, page
from tinynn import Affine, Layer, QuadraticCost, Softmax

BASES = {"Loss", "ElementwiseLoss", "Optimizer"}  # to derive from


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_every_layer_has_a_formula_and_a_gradient() -> None:
    rows = [line.replace("\\|", "/").strip("|").split(" | ") for line in page().splitlines() if line.startswith("| `")]
    for name, formula, *more in rows:
        assert "=" in formula or "<-" in formula or "lr(step)" in formula, name
        assert all(cell.strip() for cell in more), name
    named = {name.partition("(")[0].strip(" `") for name, *_ in rows}
    assert named == {*tinynn.layers.__all__, *tinynn.losses.__all__, *tinynn.optim.__all__} - BASES


def test_a_docstring_is_read_field_by_field() -> None:
    said = fields(Softmax.__doc__ or "")
    assert said[""] == "y_j = exp(x_j) / sum over k of exp(x_k): each row becomes probabilities"
    assert said["Shapes"] == "x (N, ..., C), y of the same shape: the rows lie along the last axis"
    assert said["Source"].endswith("1990.")
    assert fields("y = x.\n\nBackward: dx = dy,\n          twice.\nErrors:   none\n\nMore text: here.") == {
        "": "y = x",
        "Backward": "dx = dy, twice",
        "Errors": "none",
        "text": "More text: here.",
    }


def test_the_call_shows_names_and_defaults() -> None:
    assert call(Affine) == "Affine(M, W=he, b=zeros)"
    assert call(QuadraticCost) == "QuadraticCost(off=0.0, on=1.0)"
    assert call(Layer) == "Layer()"
