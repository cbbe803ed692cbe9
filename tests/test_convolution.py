"""Conv2D: PyTorch's numbers, any order in memory, what is refused. Its gradients are checked from the test table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from misuse_helpers import Case, assert_helpful

from tinynn import SGD, Affine, ConfigurationError, Conv2D, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy, fit
from tinynn.init import glorot, he, lecun


def integers(*shape: int) -> np.ndarray:
    """Whole numbers from -5 to 5 with little order in them: every result below is then exact."""
    k = np.arange(math.prod(shape))
    return ((7 * k + 3 * k * k) % 11 - 5.0).reshape(shape)


# torch 2.13.0, float64: y = conv2d(x, W, b, ...) of `integers`, and y.backward(integers(*y.shape)).
PYTORCH: dict[str, dict[str, Any]] = {
    "plain": {
        "x": (1, 2, 4, 3),
        "W": (2, 2, 2, 3),
        "y": [102, 33, 24, -4, 38, 97],
        "dx": [20, -24, 6, 0, 0, 13, 0, 0, -9, -24, 20, -5, -14, -21, -9, 8, 20, 45, 8, -24, -21, -14, 23, -20],
        "dW": [18, -4, -21, 11, -7, 35, -4, -21, 11, -7, 35, 5, -10, 0, -29, -9, 5, 35, 0, -29, -9, 5, 35, -7],
        "db": [-1, -1],
    },
    "groups, stride and padding": {
        "x": (2, 2, 5, 4),
        "W": (2, 1, 3, 2),
        "settings": {"stride": (2, 1), "padding": (1, 2), "groups": 2},
        "y": [
            *(-5, -25, 45, -44, -13, 16, -5, -5, -6, -30, 24, -22, 5, -5, -5, 25, -32, -11, 20, -31, -5),
            *(5, 26, 20, -40, 55, 0, 5, 5, -1, 46, -4, 27, -3, 5, 5, 9, 8, 0, 14, 5, 5),
            *(-5, 16, -60, 20, -11, -12, -5, -5, -40, 30, -22, 24, -29, -5, -5, -5, 6, -13, -44, 15, -5),
            *(5, -35, 6, 52, -22, 16, 5, 5, 7, 0, 11, -18, 18, 5, 5, 21, 7, 32, 24, 12, 5),
        ],
        "dx": [
            *(-4, 2, -4, 0, -45, 10, 65, -100, -5, -6, 3, 0, 65, -45, -45, 65, 0, 3, -6, -5),
            *(-15, 19, -5, 1, 53, -15, 23, 13, 17, 8, 18, 3, -12, 13, -32, -4, 1, 15, -18, 12),
            *(3, 0, -4, 2, -45, 65, -45, 10, -6, -5, -5, -6, 10, -45, 65, -45, 2, -4, 0, 3),
            *(18, 3, -15, 19, -32, -4, 53, -15, -18, 12, 17, 8, 47, -8, -12, 13, 19, -5, 1, 15),
        ],
        "dW": [-28, 52, 38, -16, 96, -17, 81, -55, 27, 61, -32, 97],
        "db": [41, 36],
    },
    "stride and dilation": {
        "x": (1, 1, 5, 6),
        "W": (2, 1, 2, 2),
        "settings": {"stride": (1, 2), "dilation": (2, 3)},
        "y": [5, -26, -1, -44, 1, 1, 15, 31, 11, 63, -17, 16],
        "dx": [
            *(35, 0, -5, -35, 0, 5, 10, 0, 25, -10, 0, -25, -6, 0, 3),
            *(28, 0, 11, 3, 0, 9, 5, 0, 17, -1, 0, -5, 3, 0, -15),
        ],
        "dW": [47, -4, -68, -67, 7, -38, -1, 10],
        "db": [-2, 8],
    },
    "same, of an even kernel": {
        "x": (1, 1, 3, 4),
        "W": (1, 1, 2, 3),
        "settings": {"padding": "same"},
        "y": [15, 6, -39, 13, 10, -48, 57, -22, -4, 8, -10, -40],
        "dx": [-50, 35, -5, -4, 20, 11, -34, 18, 15, -43, 62, -17],
        "dW": [-54, 168, -54, 39, -87, 31],
        "db": [6],
    },
}


def convolve(x: np.ndarray, W: np.ndarray, **settings: Any) -> tuple[Sequential, np.ndarray, Any]:
    layer = Conv2D(len(W), W.shape[2:], W=W, b=integers(len(W)), **settings)
    net = Sequential(layer).build(x.shape[1:], dtype="float64", needs_dx=True)
    return net, *net.forward(x)


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_has_the_same_numbers(name: str) -> None:
    case = PYTORCH[name]
    x, W = integers(*case["x"]), integers(*case["W"])
    net, y, cache = convolve(x, W, **case.get("settings", {}))
    assert y.ravel().tolist() == case["y"]
    dx = net.backward(integers(*y.shape), cache)
    assert dx.ravel().tolist() == case["dx"]
    assert net[0].dW.ravel().tolist() == case["dW"]
    assert net[0].db.ravel().tolist() == case["db"]


def test_a_kernel_as_large_as_the_image_is_an_affine_layer() -> None:
    x, W = integers(3, 2, 4, 5), integers(6, 2, 4, 5)
    _, y, _ = convolve(x, W)
    np.testing.assert_array_equal(y[:, :, 0, 0], x.reshape(3, -1) @ W.reshape(6, -1).T + integers(6))


def test_asymmetric_padding_is_zeros_around_the_image() -> None:
    x, W = integers(2, 1, 3, 4), integers(2, 1, 2, 3)
    _, y, _ = convolve(x, W, padding=((2, 0), (1, 3)))
    _, right, _ = convolve(np.pad(x, ((0, 0), (0, 0), (2, 0), (1, 3))), W)
    np.testing.assert_array_equal(y, right)


@pytest.mark.parametrize(("stride", "shape"), [(1, (5, 8)), (2, (3, 4)), ((3, 4), (2, 2))])
def test_same_keeps_the_size_or_divides_it_by_the_stride(stride: Any, shape: tuple[int, int]) -> None:
    net = Sequential(Conv2D(2, (4, 3), stride=stride, padding="same", dilation=(1, 2))).build((1, 5, 8))
    assert net.predict(np.ones((1, 1, 5, 8))).shape == (1, 2, *shape)


def test_rows_that_no_window_reads_have_gradient_0() -> None:
    net, y, cache = convolve(integers(1, 1, 6, 6), np.ones((1, 1, 1, 2)), stride=(4, 3))
    dx = net.backward(np.ones(y.shape), cache)
    read = np.zeros((6, 6))
    read[np.ix_([0, 4], [0, 1, 3, 4])] = 1
    np.testing.assert_array_equal(dx[0, 0], read)


def test_images_keep_their_order_in_memory_from_layer_to_layer() -> None:
    net = Sequential(Conv2D(4, 3), ReLU(), MaxPool2D(2)).build((2, 8, 8))
    y, _ = net.forward(np.ones((5, 2, 8, 8)))
    assert y.shape == (5, 4, 3, 3)
    assert y.transpose(2, 1, 3, 0).flags.c_contiguous  # rows, channels, columns, batch


def test_l2_acts_on_the_filters_and_not_on_the_biases() -> None:
    net = Sequential(Conv2D(2, 2)).build((1, 3, 3))
    assert {name: d.decay for name, d in net[0]._built().declared.items()} == {"W": True, "b": False}


@pytest.mark.parametrize(("initialiser", "variance"), [(he, 2 / 450), (lecun, 1 / 450), (glorot, 2 / (450 + 1800))])
def test_initial_filters_have_the_variance_of_their_fan_in(initialiser: Any, variance: float) -> None:
    net = Sequential(Conv2D(200, 3, W=initialiser)).build((50, 5, 5))
    assert net[0].W.var() == pytest.approx(variance, rel=0.02)  # 90,000 numbers: four standard errors
    assert not net[0].b.any()


def test_a_network_of_convolutions_learns_where_a_line_runs() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(0, 0.3, (500, 1, 6, 6)), rng.integers(0, 2, 500)
    for image, upright, place in zip(x, t, rng.integers(0, 6, 500), strict=True):
        image[0, slice(None) if upright else place, place if upright else slice(None)] += 1
    net = Sequential(Conv2D(6, 3), ReLU(), MaxPool2D(2), Affine(2), SoftmaxCrossEntropy()).build((1, 6, 6), seed=1)
    fit(net, SGD(0.2), (x[:400], t[:400]), epochs=10, batch_size=10, progress=False)
    assert net.evaluate(x[400:], t[400:]).accuracy >= 0.95


def build(layer: Any, shape: tuple[int, ...] = (3, 8, 8)) -> Callable[[], Any]:
    return lambda: Sequential(layer()).build(shape)


MISTAKES: dict[str, Case] = {
    "no filters": (lambda: Conv2D(0, 3), ConfigurationError, "Conv2D", "0", "Conv2D(16, 3)"),
    "kernel of 0": (lambda: Conv2D(4, 0), ConfigurationError, "Conv2D", "0", "(2, 3)"),
    "kernel of three": (lambda: Conv2D(4, (3, 3, 3)), ConfigurationError, "Conv2D", "(3, 3, 3)", "vertical"),  # pyright: ignore[reportArgumentType]
    "stride of a half": (lambda: Conv2D(4, 3, stride=0.5), ConfigurationError, "Conv2D", "0.5", "(2, 3)"),  # pyright: ignore[reportArgumentType]
    "dilation 0": (lambda: Conv2D(4, 3, dilation=(1, 0)), ConfigurationError, "Conv2D", "0", "(2, 3)"),
    "negative padding": (lambda: Conv2D(4, 3, padding=-1), ConfigurationError, "Conv2D", "-1", '"same"'),
    "padding by another word": (lambda: Conv2D(4, 3, padding="valid"), ConfigurationError, "Conv2D", "valid", "same"),
    "no groups": (lambda: Conv2D(4, 3, groups=0), ConfigurationError, "Conv2D", "0", "groups=1"),
    "groups that do not divide the channels": (
        build(lambda: Conv2D(4, 3, groups=2)),
        ConfigurationError,
        "layer 0: Conv2D(4, 3, groups=2)",
        "3 channels, 4 filters",
        "groups=1",
    ),
    "groups that do not divide the filters": (
        build(lambda: Conv2D(4, 3, groups=3)),
        ConfigurationError,
        "layer 0: Conv2D(4, 3, groups=3)",
        "3 channels, 4 filters",
        "groups=1",
    ),
    "rows of numbers": (
        build(lambda: Conv2D(4, 3), (784,)),
        ConfigurationError,
        "layer 0: Conv2D(4, 3)",
        "(784,)",
        "Reshape((1, 28, 28))",
    ),
    "too few rows": (
        build(lambda: Conv2D(4, (9, 3))),
        ConfigurationError,
        "layer 0: Conv2D(4, (9, 3))",
        "8 of them, in images (3, 8, 8)",
        'padding="same"',
    ),
    "too few columns for a dilated kernel": (
        build(lambda: Conv2D(4, 3, dilation=(1, 4))),
        ConfigurationError,
        "layer 0: Conv2D",
        "8 of them",
        'padding="same"',
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name: str) -> None:
    assert_helpful(MISTAKES[name])
