"""Simple layers beside their formulas in plain NumPy: y, dx, the parameters' gradients, however x lies in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinynn import (
    Add,
    Affine,
    Clip,
    Concat,
    ConfigurationError,
    DataError,
    Embedding,
    Flatten,
    GlobalMaxPool,
    Graph,
    GroupNorm,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    Multiply,
    Permute,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    ShapeError,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    Upsample2D,
)

RNG = np.random.default_rng(11)
EACH = np.arange(1.0, 25).reshape(4, 3, 2) / 8  # a number for each of an example's
X = RNG.standard_normal((5, 4, 3, 2)) * 2


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same numbers, in several ways in memory."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]))
    wide[..., ::2] = x
    turned = np.ascontiguousarray(x.transpose(*reversed(range(x.ndim)))).transpose(*reversed(range(x.ndim)))
    return [x, np.asfortranarray(x), wide[..., ::2], turned, x[::-1].copy()[::-1]]


def built(layer: Layer, *shapes: tuple[int, ...], dtype: str = "float64") -> Any:
    return Sequential(layer).build(*shapes, dtype=dtype, needs_dx=True)


def reshape(x: np.ndarray, *shape: int) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(len(x), *shape)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


Formula = Callable[[Any, Any], Any]
ONE: dict[str, tuple[Layer, Formula, Formula]] = {
    "Identity": (Identity(), lambda x, _: x, lambda x, dy: dy),
    "Clip": (
        Clip(-0.5, 1.5),
        lambda x, _: np.minimum(np.maximum(x, -0.5), 1.5),
        lambda x, dy: np.where((x > -0.5) & (x < 1.5), dy, 0),
    ),
    "Rescale": (Rescale(0.25, -3.0), lambda x, _: 0.25 * x - 3, lambda x, dy: 0.25 * dy),
    "Rescale without offset": (Rescale(-2.0), lambda x, _: -2 * x, lambda x, dy: -2 * dy),
    "Rescale of each feature": (Rescale(EACH, 1 - EACH), lambda x, _: EACH * x + 1 - EACH, lambda x, dy: EACH * dy),
    "Rescale of each feature by one offset": (Rescale(EACH, 2), lambda x, _: EACH * x + 2, lambda x, dy: EACH * dy),
    "Flatten": (Flatten(), lambda x, _: reshape(x, 24), lambda x, dy: reshape(dy, 4, 3, 2)),
    "Reshape": (Reshape((6, -1)), lambda x, _: reshape(x, 6, 4), lambda x, dy: reshape(dy, 4, 3, 2)),
    "Reshape to the same": (Reshape((4, 3, 2)), lambda x, _: x, lambda x, dy: dy),
    "Permute": (Permute(2, 0, 1), lambda x, _: x.transpose(0, 3, 1, 2), lambda x, dy: dy.transpose(0, 2, 3, 1)),
    "Residual": (Residual(Tanh()), lambda x, _: x + np.tanh(x), lambda x, dy: dy * (2 - np.tanh(x) ** 2)),
    "Softmax": (
        Softmax(),
        lambda x, _: softmax(x),
        lambda x, dy: softmax(x) * (dy - (dy * softmax(x)).sum(axis=-1, keepdims=True)),
    ),
    "LogSoftmax": (
        LogSoftmax(),
        lambda x, _: np.log(softmax(x)),
        lambda x, dy: dy - softmax(x) * dy.sum(axis=-1, keepdims=True),
    ),
    "Upsample2D": (
        Upsample2D((2, 3)),
        lambda x, _: x.repeat(2, axis=2).repeat(3, axis=3),
        lambda x, dy: dy.reshape(5, 4, 3, 2, 2, 3).sum(axis=(3, 5)),
    ),
    "GlobalMaxPool": (
        GlobalMaxPool(),
        lambda x, _: x.max(axis=(2, 3)),
        lambda x, dy: np.where(x == x.max(axis=(2, 3), keepdims=True), dy[:, :, None, None], 0),
    ),
    "LeakyReLU": (
        LeakyReLU(0.2),
        lambda x, _: np.where(x > 0, x, 0.2 * x),
        lambda x, dy: np.where(x > 0, dy, 0.2 * dy),
    ),
}


@pytest.mark.parametrize("name", ONE)
def test_one_input(name: str) -> None:
    layer, forward, backward = ONE[name]
    net = built(layer, (4, 3, 2))
    for x in layouts(X):
        held = x.copy()
        y, cache = net.forward(x)
        right = forward(x, None)
        assert y.shape == right.shape and y.dtype == np.float64
        np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(net.predict(x), right, rtol=1e-12, atol=1e-14)
        for dy in layouts(RNG.standard_normal(right.shape)):
            y, cache = net.forward(x)
            dx = net.backward(dy, cache)
            np.testing.assert_allclose(dx, backward(x, dy), rtol=1e-11, atol=1e-13)
            assert dx.shape == x.shape
        np.testing.assert_array_equal(x, held)


def product(xs: list[np.ndarray]) -> np.ndarray:
    y = np.ones_like(xs[0])
    for x in xs:
        y = y * x
    return y


SEVERAL: dict[str, tuple[Callable[[], Layer], Formula, Formula]] = {
    "Add": (Add, lambda xs, _: np.sum(xs, axis=0), lambda xs, dy: [dy] * len(xs)),
    "Multiply": (
        Multiply,
        lambda xs, _: product(xs),
        lambda xs, dy: [dy * product([*xs[:i], *xs[i + 1 :]]) for i in range(len(xs))],
    ),
    "Concat": (
        lambda: Concat(1),
        lambda xs, _: np.concatenate(xs, axis=2),
        lambda xs, dy: [dy[:, :, 3 * i : 3 * i + 3] for i in range(len(xs))],
    ),
}


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("name", SEVERAL)
def test_several_inputs(name: str, k: int) -> None:
    make, forward, backward = SEVERAL[name]
    inputs = [f"x{i}" for i in range(k)]
    net = Graph(y=(make(), *inputs)).build(*[(4, 3, 2)] * k, dtype="float64", needs_dx=True)
    xs = [RNG.standard_normal(X.shape) for _ in range(k)]
    for mixed in (xs, [layouts(x)[(i + 1) % 5] for i, x in enumerate(xs)]):
        y, cache = net.forward(*mixed)
        np.testing.assert_allclose(y, forward(xs, None), rtol=1e-13)
        dy = RNG.standard_normal(y.shape)
        for dx, right in zip(net.backward(dy, cache), backward(xs, dy), strict=True):
            np.testing.assert_allclose(dx, right, rtol=1e-13)


def test_concat_of_unequal_parts_along_any_axis() -> None:
    a, b = RNG.standard_normal((5, 4, 3)), RNG.standard_normal((5, 4, 2))
    for axis in (1, -1):
        net = Graph(y=(Concat(axis), "a", "b")).build((4, 3), (4, 2), dtype="float64", needs_dx=True)
        y, cache = net.forward(a, b)
        np.testing.assert_array_equal(y, np.concatenate([a, b], axis=2))
        da, db = net.backward(y, cache)
        np.testing.assert_array_equal(da, a)
        np.testing.assert_array_equal(db, b)
    for axis in (0, -2, 2, -3):
        with pytest.raises(ShapeError, match="cannot be joined"):
            Graph(y=(Concat(axis), "a", "b")).build((4, 3), (4, 2))
    with pytest.raises(ShapeError, match="cannot be joined"):
        Graph(y=(Concat(), "a", "b")).build((4, 3), (4,))


@pytest.mark.parametrize("make", [Add, Multiply], ids=lambda make: make.__name__)
def test_inputs_of_several_shapes_are_not_broadcast(make: Any) -> None:
    for shapes in (((3,), (1,)), ((3,), (3,), (3, 1)), ((4, 3), (3,))):
        with pytest.raises(ShapeError, match="cannot be combined") as caught:
            Graph(y=(make(), *"abc"[: len(shapes)])).build(*shapes)
        assert caught.value.got == ", ".join(map(str, shapes))
    with pytest.raises(ShapeError, match="cannot be combined"):
        built(make(), (3,))


def test_a_residual_layer_with_parameters_and_without_dx() -> None:
    x, dy = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 3))
    W, b = RNG.standard_normal((3, 3)), RNG.standard_normal(3)
    for needs_dx in (True, False):
        net = Sequential(Residual(Affine(3, W=W, b=b))).build((3,), dtype="float64", needs_dx=needs_dx)
        y, cache = net.forward(x)
        np.testing.assert_allclose(y, x + x @ W + b, rtol=1e-12)
        dx = net.backward(dy, cache)
        if needs_dx:
            np.testing.assert_allclose(dx, dy + dy @ W.T, rtol=1e-12)
        else:
            assert dx is None
        gradients = list(net.storage.gradients.values())
        for right in (x.T @ dy, dy.sum(axis=0)):
            assert any(g.shape == right.shape and np.allclose(g, right, rtol=1e-12) for g in gradients)
    with pytest.raises(ShapeError, match="one shape") as caught:
        built(Residual(Affine(4)), (3,))
    assert (caught.value.expected, caught.value.got) == ((3,), (4,))
    with pytest.raises(ConfigurationError, match="cannot end in a loss"):
        built(Residual(Sequential(Affine(3), SoftmaxCrossEntropy())), (3,))


def normal(x: np.ndarray, over: tuple[int, ...], eps: float, centre: bool = True) -> np.ndarray:
    c = x - x.mean(axis=over, keepdims=True) if centre else x
    return c / np.sqrt((c * c).mean(axis=over, keepdims=True) + eps)


NORMAL: dict[str, tuple[Layer, Callable[[np.ndarray], np.ndarray], tuple[int, ...]]] = {
    "LayerNorm()": (LayerNorm(eps=0.1), lambda x: normal(x, (3,), 0.1), (2,)),
    "LayerNorm(0)": (LayerNorm(0, 0.1), lambda x: normal(x, (1, 2, 3), 0.1), (4, 3, 2)),
    "LayerNorm(-2)": (LayerNorm(-2, 0.1), lambda x: normal(x, (2, 3), 0.1), (3, 2)),
    "LayerNorm(1)": (LayerNorm(1, 0.1), lambda x: normal(x, (2, 3), 0.1), (3, 2)),
    "RMSNorm()": (RMSNorm(eps=0.1), lambda x: normal(x, (3,), 0.1, False), (2,)),
    "RMSNorm(0)": (RMSNorm(0, 0.1), lambda x: normal(x, (1, 2, 3), 0.1, False), (4, 3, 2)),
    "GroupNorm(2)": (
        GroupNorm(2, 0.1),
        lambda x: normal(x.reshape(5, 2, 2, 3, 2), (2, 3, 4), 0.1).reshape(x.shape),
        (4, 1, 1),
    ),
}


@pytest.mark.parametrize("name", NORMAL)
def test_normalisation_with_parameters_of_any_value(name: str) -> None:
    layer, formula, inner = NORMAL[name]
    net = built(layer, (4, 3, 2))
    g, beta = RNG.standard_normal(inner), RNG.standard_normal(inner)
    parameters = {key.rpartition(".")[2]: p for key, p in net.storage.parameters.items()}
    scale = "gamma" if "gamma" in parameters else "g"
    parameters[scale][...] = g.reshape(parameters[scale].shape)
    if "beta" in parameters:
        parameters["beta"][...] = beta.reshape(parameters["beta"].shape)
    else:
        beta = np.zeros(inner)
    dy = RNG.standard_normal(X.shape)
    for x in layouts(X):
        y, cache = net.forward(x)
        np.testing.assert_allclose(y, g * formula(x) + beta, rtol=1e-10, atol=1e-12)
        dx = np.array(net.backward(dy, cache))
        # Along one direction, by a difference: the whole gradient at once.
        v, h = RNG.standard_normal(X.shape), 1e-5
        slope = ((g * formula(x + h * v) - g * formula(x - h * v)) * dy).sum() / (2 * h)
        assert (dx * v).sum() == pytest.approx(slope, rel=1e-6, abs=1e-8)
        gradients = {key.rpartition(".")[2]: p for key, p in net.storage.gradients.items()}
        axes = tuple(i for i, side in enumerate((1, *(1,) * (3 - len(inner)), *inner)) if side == 1)
        np.testing.assert_allclose(gradients[scale].ravel(), (dy * formula(x)).sum(axis=axes).ravel(), rtol=1e-9)
        if "beta" in gradients:
            np.testing.assert_allclose(gradients["beta"].ravel(), dy.sum(axis=axes).ravel(), rtol=1e-9)


def test_axes_and_groups_that_the_input_does_not_have() -> None:
    for make in (LayerNorm, RMSNorm):
        for axis in (2, -3):
            with pytest.raises(ConfigurationError, match="an axis that the input does not have") as caught:
                built(make(axis), (4, 3))
            assert caught.value.expected == "-2 to 1, counted within an example"
        for eps in (0, -1.0):
            with pytest.raises(ConfigurationError, match="eps"):
                make(eps=eps)
    for shape in ((3,), (5, 4)):
        with pytest.raises(ConfigurationError, match="share out the channels"):
            built(GroupNorm(2), shape)
    assert (LayerNorm().eps, RMSNorm().eps, GroupNorm(1).eps) == (1e-5, 1e-5, 1e-5)
    assert (LayerNorm().axis, RMSNorm().axis, Concat().axis) == (-1, -1, 0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint32", "uint64"])
def test_integers_of_every_width_look_up_their_row(dtype: str) -> None:
    W = RNG.standard_normal((7, 2))
    net = Sequential(Embedding(7, 2, W=W)).build((3,), dtype="float64")
    x = np.array([[0, 6, 3], [1, 1, 5]]).astype(dtype)
    y, cache = net.forward(x)
    np.testing.assert_array_equal(y, W[x.astype(int)])
    dy = RNG.standard_normal(y.shape)
    net.backward(dy, cache)
    right = np.zeros_like(W)
    np.add.at(right, x.astype(int), dy)
    np.testing.assert_allclose(net.storage.gradients["0.W"], right, rtol=1e-12)
    far = [7, *([-1] if dtype[0] == "i" else []), *([2**32, 2**32 + 1] if dtype.endswith("64") else [])]
    far += [-(2**32)] if dtype == "int64" else []
    for value in far:
        wrong = x.copy()
        wrong[1, 2] = value
        with pytest.raises(DataError, match="no vector for this integer") as caught:
            net.forward(wrong)
        assert caught.value.got == value and str(caught.value.where).endswith("row 1, element (2,)")
        assert caught.value.expected == "0 to 6"


def test_bounds_and_scales_that_cannot_be() -> None:
    for low, high in ((1, 1), (2, 1), (np.nan, 1), (0, np.inf)):
        with pytest.raises(ConfigurationError):
            Clip(low, high)
    clip = Clip(-1, 2)
    assert (clip.low, clip.high) == (-1, 2)
    for value in (np.nan, np.inf, "x", None):
        for make in (lambda v: Rescale(v), lambda v: Rescale(1.0, v)):
            with pytest.raises(ConfigurationError):
                make(value)
    assert Rescale(2.0).offset == 0
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    y, _ = Sequential(Rescale(1 / 255, 0.5)).build((3,)).forward(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, x.astype(np.float32) * np.float32(1 / 255) + np.float32(0.5))


def test_one_scale_for_each_feature() -> None:
    x = np.array([[1, 200], [3, 100]], np.uint8)
    mean, std = x.mean(axis=0), x.std(axis=0)
    layer = Rescale(1 / std, -mean / std)
    net = Sequential(layer, Affine(1)).build((2,))
    std[0] = 99  # the layer has a copy
    np.testing.assert_allclose(layer.forward(x)[0], [[-1, 1], [1, -1]], rtol=1e-6)
    assert layer.scale.dtype == np.float32
    assert {"0.scale", "0.offset"} <= net.storage.arrays().keys()
    assert repr(layer) == "Rescale(<array (2,)>, <array (2,)>)"
    net.build((2,), dtype="float64")
    assert layer.scale.dtype == np.float64
    for shape in ((3,), (1, 2), ()):
        with pytest.raises(ShapeError, match="the scale does not fit"):
            Sequential(Rescale(mean)).build(shape)
    with pytest.raises(ShapeError, match="the offset does not fit"):
        Sequential(Rescale(1.0, mean)).build((3,))
    for wrong in (np.array([1, np.nan]), np.array([1, np.inf]), np.array(["a", "b"]), np.array([None, 1])):
        for make in (lambda v: Rescale(v), lambda v: Rescale(1.0, v)):
            with pytest.raises(ConfigurationError, match="must be finite numbers"):
                make(wrong)


def test_shapes_that_cannot_be() -> None:
    wrong: list[Any] = [(-2,), (0,), (-1, -1), 3, (1.5,), "ab"]
    for shape in wrong:
        with pytest.raises(ConfigurationError, match="the shape of one example"):
            Reshape(shape)
    for shape in ((5,), (5, -1), (3, 5)):
        with pytest.raises(ShapeError, match="as many numbers"):
            built(Reshape(shape), (4, 3))
    assert built(Reshape((-1, 2)), (4, 3)).forward(np.zeros((1, 4, 3)))[0].shape == (1, 6, 2)
    several: list[tuple[Any, ...]] = [(), (0,), (0, 0), (1, 2), (0, 1, 2), (0, True), ("0", 1)]
    for axes in several:
        with pytest.raises(ConfigurationError, match="every axis once"):
            built(Permute(*axes), (4, 3))
    for layer in (Upsample2D(2), GlobalMaxPool()):
        for shape in ((3,), (3, 4), (1, 2, 3, 4)):
            with pytest.raises(ConfigurationError, match="works on images"):
                built(layer, shape)
    assert built(ReLU(), (3,)).forward(np.array([[-1.0, 0, 2]]))[0].tolist() == [[0, 0, 2]]
