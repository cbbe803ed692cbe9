"""Every layer and loss through gradcheck, over shapes, batch sizes, dtypes and memory layouts."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings
from strategies import arrays, examples, label_rows, laid_out, layouts, probability_rows, shapes
from table import ROWS, Case
from table.row import elementwise

import tinynn
from tinynn import (
    Add,
    Affine,
    Concat,
    ElementwiseLoss,
    GradientError,
    Graph,
    Layer,
    Loss,
    Multiply,
    QuadraticCost,
    ReLU,
    Rescale,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Step,
    Tanh,
    gradcheck,
)
from tinynn.backend import get_backend
from tinynn.init import ones, standard_normal
from tinynn.specimen import Result, Specimen

EXAMPLES = examples(200)  # for each kind of layer


class Gain(Layer):
    """y = g * x + b, one learned gain and one offset per feature."""

    def build(self, shape: Any) -> Any:
        self.param("g", shape, ones)
        self.param("b", shape, standard_normal, decay=False)
        return shape

    def forward(self, x: Any) -> Any:
        return x * self.g + self.b, x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (dy * x).sum(axis=0)
        dy.sum(axis=0, out=self.db)
        return dy * self.g


class Product(Layer):
    """y = x0 * x1: a layer of two inputs."""

    def build(self, *shapes: Any) -> Any:
        return shapes[0]

    def forward(self, x0: Any, x1: Any) -> Any:
        return x0 * x1, (x0, x1)

    def backward(self, dy: Any, cache: Any) -> Any:
        x0, x1 = cache
        return dy * x1, dy * x0


smooth = st.sampled_from([Sigmoid, Tanh, Gain, ReLU]).map(lambda kind: kind())


@st.composite
def network_cases(draw: st.DrawFn, loss: bool, nested: bool = False) -> Case:
    shape, n = draw(shapes(max_dims=2, max_elements=3)), draw(st.integers(1, 3))
    layers: list[Layer] = [Rescale(0.5, 0.1)] if draw(st.booleans()) else []
    inner = [Affine(draw(st.integers(1, 2))), draw(smooth)]
    layers += [Sequential(Sequential(inner[0]), inner[1])] if nested else inner
    inputs = [draw(arrays((n, *shape)))]
    if loss:
        layers += [Affine(2), draw(st.sampled_from([SoftmaxCrossEntropy, QuadraticCost]))()]
        inputs += [draw(st.one_of(label_rows(n, 2), probability_rows(n, 2)))]
    else:
        layers += [Affine(2), draw(st.sampled_from([Softmax, Tanh]))()]
    return Case(Sequential(*layers), tuple(inputs), draw(layouts))


@st.composite
def graph_cases(draw: st.DrawFn, loss: bool) -> Case:
    """Fan-out, a merge, a residual part and a network within, on one or two inputs."""
    n, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    inputs = [draw(arrays((n, width)))]
    nodes: dict[str, Any] = {"h": (Sequential(Affine(2), draw(smooth)), "x"), "r": (Residual(draw(smooth)), "x")}
    if draw(st.booleans()):
        inputs.append(draw(arrays((n, 2))))
        nodes["m"] = (draw(st.sampled_from([Add, Multiply]))(), "h", "z")
    nodes["y"] = (Concat(), "h", "r", "m" if "m" in nodes else "x", "r")
    if loss:
        nodes["scores"] = (Affine(2), "y")
        nodes["loss"] = (draw(st.sampled_from([SoftmaxCrossEntropy, QuadraticCost]))(), "scores", "t")
        inputs.append(draw(st.one_of(label_rows(n, 2), probability_rows(n, 2))))
    return Case(Graph(**nodes), tuple(inputs), draw(layouts))


CASES: dict[str, st.SearchStrategy[Case]] = {name: row.cases for name, row in ROWS.items()} | {
    "Sequential": network_cases(loss=False),
    "Sequential with a loss": network_cases(loss=True),
    "nested Sequential": st.booleans().flatmap(lambda loss: network_cases(loss, nested=True)),
    "Graph": graph_cases(loss=False),
    "Graph with a loss": graph_cases(loss=True),
    "custom layer": elementwise(st.builds(Gain)),
    "custom layer of two inputs": elementwise(st.builds(Product), inputs=2),
}


def test_every_layer_and_loss_has_a_row() -> None:
    public = {thing for thing in vars(tinynn).values() if isinstance(thing, type) and issubclass(thing, Layer)}
    without = {
        ElementwiseLoss,
        Graph,
        Layer,
        Loss,
        Sequential,
        Step,
    }  # what is no layer by itself; a step has no gradient
    assert {row.kind for row in ROWS.values()} == public - without


@pytest.mark.parametrize("kind", CASES)
def test_gradients(kind: str) -> None:
    met = 0

    @settings(max_examples=EXAMPLES)
    @given(CASES[kind])
    def check(case: Case) -> None:
        nonlocal met
        met += 1
        gradcheck(case.layer, inputs=[laid_out(x, case.layout) for x in case.inputs])
        check_layout(case)

    check()
    assert met >= EXAMPLES


def check_layout(case: Case) -> None:
    """However the inputs and dy lie in memory: the same result, and not a bit of them changed."""
    dtype = "float64" if case.inputs[0].dtype == np.float64 else "float32"
    plain = [x.astype(dtype if x.dtype.kind == "f" else x.dtype) for x in case.inputs]
    expected, got = run(case.layer, plain, "contiguous", dtype), run(case.layer, plain, case.layout, dtype)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    for name, right in {"y": expected.y, **expected.gradients}.items():
        value = got.y if name == "y" else got.gradients[name]
        assert value.dtype == right.dtype
        atol = rtol * float(np.abs(right).max(initial=0))
        np.testing.assert_allclose(value, right, rtol=rtol, atol=atol, err_msg=name)


def run(layer: Layer, inputs: list[np.ndarray], layout: str, dtype: str) -> Result:
    """The output and all gradients; that inputs and dy come out unchanged is the specimen's own check."""
    specimen = Specimen(layer, tuple(x.shape[1:] for x in inputs), get_backend("numpy"), dtype)
    shape = (len(inputs[0]), *specimen.layer._built().output)
    dy = laid_out(np.cos(np.arange(math.prod(shape))).reshape(shape).astype(dtype), layout)
    return specimen.run([laid_out(x, layout) for x in inputs], 0.5 if specimen.ends_in_loss else dy)


def test_step_refuses_backward_and_says_why() -> None:
    with pytest.raises(GradientError, match="a step cannot be trained") as caught:
        gradcheck(Step(), (3,))
    assert caught.value.where is not None and "Step()" in caught.value.where
    assert caught.value.fix is not None and "Sigmoid" in caught.value.fix
    net = Sequential(Affine(3), Step(), Affine(2), SoftmaxCrossEntropy()).build((2,))
    _, cache = net.forward(np.ones((1, 2)), np.array([1]))
    with pytest.raises(GradientError, match=r"layer 1: Step\(\)"):
        net.backward(1.0, cache)


@settings(max_examples=EXAMPLES)
@given(hnp.arrays("float64", (3, 2), elements=st.tuples(st.floats(1e-12, 1e-6), st.sampled_from([-1, 1])).map(np.prod)))
@example(np.full((2, 2), 1e-6))
@example(np.full((2, 2), -1e-9))
@example(np.array([[1e-7, -1e-7], [1e-6, -1e-5]]))
def test_no_false_alarm_at_the_corner_of_relu(x: np.ndarray) -> None:
    """Nearer to 0 than the difference quotient reaches, and yet right."""
    gradcheck(ReLU(), inputs=[x])
    gradcheck(Sequential(ReLU(), Affine(2)), inputs=[x])
