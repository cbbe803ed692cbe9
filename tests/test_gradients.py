"""Every layer and loss through gradcheck, over shapes, batch sizes, dtypes and memory layouts."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings
from strategies import arrays, batch_sizes, floats, label_rows, laid_out, layouts, probability_rows, shapes

from tinynn import (
    Affine,
    GradientError,
    Layer,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Step,
    Tanh,
    gradcheck,
)
from tinynn.init import ones, standard_normal

EXAMPLES = 200  # for each kind of layer


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


class Case(NamedTuple):
    """A layer, inputs for it, and how they and dy are to lie in memory."""

    layer: Layer
    inputs: tuple[np.ndarray, ...]
    layout: str


def elementwise(
    make: st.SearchStrategy[Layer], elements: st.SearchStrategy[Any] | None = None, inputs: int = 1
) -> st.SearchStrategy[Case]:
    """Cases of a layer that takes any shape."""

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        shape = (draw(batch_sizes), *draw(shapes(min_dims=0)))
        return Case(draw(make), tuple(draw(arrays(shape, elements)) for _ in range(inputs)), draw(layouts))

    return cases()


@st.composite
def rescale_cases(draw: st.DrawFn) -> Case:
    shape = (draw(batch_sizes), *draw(shapes()))
    layer = Rescale(draw(floats()), draw(st.sampled_from([0.0, 0.01, -1.5])))
    dtype = draw(st.sampled_from(["uint8", "int8", "int32", "int64", "float32", "float64"]))
    return Case(layer, (draw(hnp.arrays(dtype, shape, elements=st.integers(0, 127))),), draw(layouts))


@st.composite
def softmax_cases(draw: st.DrawFn) -> Case:
    return Case(Softmax(), (draw(arrays((draw(batch_sizes), draw(st.integers(1, 6))))),), draw(layouts))


@st.composite
def affine_cases(draw: st.DrawFn, max_dims: int) -> Case:
    shape = draw(shapes(min_dims=max_dims and 1, max_dims=max_dims))
    layer = Affine(draw(st.integers(1, 4)), b=draw(st.sampled_from([standard_normal, ones])))
    return Case(layer, (draw(arrays((draw(batch_sizes), *shape))),), draw(layouts))


@st.composite
def loss_cases(draw: st.DrawFn, loss: type, labels: bool) -> Case:
    n, classes = draw(batch_sizes), draw(st.integers(2, 5))
    layer = loss()
    if loss is QuadraticCost and draw(st.booleans()):
        layer = QuadraticCost(off=draw(floats()), on=draw(floats()))
    if labels:
        return Case(layer, (draw(arrays((n, classes))), draw(label_rows(n, classes))), draw(layouts))
    if loss is SoftmaxCrossEntropy:
        return Case(layer, (draw(arrays((n, classes))), draw(probability_rows(n, classes))), draw(layouts))
    shape = (n, *draw(shapes(min_dims=0)))
    return Case(layer, (draw(arrays(shape)), draw(arrays(shape))), draw(layouts))


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


CASES: dict[str, st.SearchStrategy[Case]] = {
    "Affine of rows": affine_cases(max_dims=1),
    "Affine of anything": affine_cases(max_dims=3),
    "Sigmoid": elementwise(st.builds(Sigmoid)),
    "Tanh": elementwise(st.builds(Tanh)),
    "ReLU": elementwise(st.builds(ReLU), st.integers(-20, 20).filter(bool).map(lambda k: k / 8)),
    "Softmax": softmax_cases(),
    "Rescale": rescale_cases(),
    "SoftmaxCrossEntropy of labels": loss_cases(SoftmaxCrossEntropy, labels=True),
    "SoftmaxCrossEntropy of rows": loss_cases(SoftmaxCrossEntropy, labels=False),
    "QuadraticCost of labels": loss_cases(QuadraticCost, labels=True),
    "QuadraticCost of rows": loss_cases(QuadraticCost, labels=False),
    "Sequential": network_cases(loss=False),
    "Sequential with a loss": network_cases(loss=True),
    "nested Sequential": st.booleans().flatmap(lambda loss: network_cases(loss, nested=True)),
    "custom layer": elementwise(st.builds(Gain)),
    "custom layer of two inputs": elementwise(st.builds(Product), inputs=2),
}


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
    if len(case.inputs) == 2 and isinstance(case.layer, Product):
        return  # a chain has one input
    plain = [x.copy() for x in case.inputs]
    spread = [laid_out(x, case.layout) for x in case.inputs]
    expected, got = run(case.layer, plain, "contiguous"), run(case.layer, spread, case.layout)
    rtol = 1e-5 if case.inputs[0].dtype == np.float32 else 1e-12
    for name, right in expected.items():
        assert got[name].dtype == right.dtype
        np.testing.assert_allclose(got[name], right, rtol=rtol, atol=rtol * float(np.abs(right).max()), err_msg=name)
    for x, untouched in zip(spread, case.inputs, strict=True):
        np.testing.assert_array_equal(x, untouched)


def run(layer: Layer, inputs: list[np.ndarray], layout: str) -> dict[str, np.ndarray]:
    """The output and all gradients, in the precision of the first input."""
    net = copy.deepcopy(layer)
    net = net if isinstance(net, Sequential) else Sequential(net)
    dtype = "float64" if inputs[0].dtype == np.float64 else "float32"
    net.build(inputs[0].shape[1:], dtype=dtype, needs_dx=True)
    y, cache = net.forward(*inputs)
    y = np.array(y)
    dy: Any = 0.5
    if y.ndim:
        dy = laid_out(np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype), layout)
    return {"y": y, "dx": np.array(net.backward(dy, cache)), **{f"d{k}": v for k, v in net.storage.gradients.items()}}


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
