"""Pooling and upsampling: PyTorch's numbers, ties, NaN, what is refused. Gradients are checked from the test table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from misuse_helpers import Case, assert_helpful

from tinynn import (
    AveragePool2D,
    ConfigurationError,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    MaxPool2D,
    Sequential,
    Upsample2D,
)


def integers(*shape: int) -> np.ndarray:
    """Whole numbers from -5 to 5 with little order in them."""
    k = np.arange(math.prod(shape))
    return ((7 * k + 3 * k * k) % 11 - 5.0).reshape(shape)


def run(layer: Layer, x: np.ndarray, dy: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    net = Sequential(layer).build(x.shape[1:], dtype="float64", needs_dx=True)
    y, cache = net.forward(x)
    return y, net.backward(integers(*y.shape) if dy is None else dy, cache)


# torch 2.13.0, float64: y = max_pool2d or avg_pool2d of `integers`, and y.backward(integers(*y.shape)).
PYTORCH: dict[str, tuple[Layer, tuple[int, ...], list[float], list[float]]] = {
    "maximum": (
        MaxPool2D(2),
        (1, 2, 4, 4),
        [5, 4, 5, 5, 4, 5, 4, 5],
        [
            *(0, -5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, -1, 0, 0, -1),
            *(0, 0, 0, 0, 5, 0, 0, -5, 0, 0, 4, 0, 0, 2, 0, 0),
        ],
    ),
    "maximum, overlapping and padded": (
        MaxPool2D((3, 2), stride=2, padding=1),
        (1, 1, 5, 5),
        [-5, 5, 5, 5, 5, 4, 5, 2, 5],
        [-5, 5, 0, 0, -1, 0, 0, 0, 0, -5, 0, 0, 5, 0, 0, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0],
    ),
    "maximum, dilated and rounded up": (
        MaxPool2D(2, stride=2, dilation=(2, 1), ceil_mode=True),
        (1, 1, 5, 6),
        [5, 5, 5, 5, 5, 4],
        [0, -5, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -5],
    ),
    "maximum, padded and rounded up": (
        MaxPool2D(3, stride=2, padding=1, ceil_mode=True),
        (1, 1, 4, 5),
        [5, 5, 5, 5, 5, 4, 5, 4, 4],
        [0, 0, 0, 0, -1, 0, 0, 0, 0, -5, 0, 0, 5, 0, 0, 1, 0, 0, 5, 0],
    ),
    "mean, padding counted": (
        AveragePool2D(2, stride=(2, 1), padding=1, count_include_pad=True),
        (1, 1, 5, 4),
        [-1.25, 0, 1, -0.5, -0.25, 1.5, 1.25, 0.75, 0.75, -0.25, 0, 0.25, 1, 2.25, 1.5],
        [
            *(0, 1, -0.5, 1, -0.75, 1.5, 1.25, 1.25, -0.75, 1.5, 1.25, 1.25),
            *(-0.75, 0, 1, -0.5, -0.75, 0, 1, -0.5),
        ],
    ),
    "mean, padding left out": (
        AveragePool2D(2, stride=(2, 1), padding=1),
        (1, 1, 5, 4),
        [-5, 0, 2, -1, -1, 3, 1.25, 0.75, 0.75, -0.5, 0, 0.25, 1, 2.25, 3],
        [
            *(-2.5, 2, -1, 4.5, -2, 1.5, 1.25, 2.25, -2, 1.5, 1.25, 2.25),
            *(-0.25, 0, 1, -0.75, -0.25, 0, 1, -0.75),
        ],
    ),
    "mean, padding counted, rounded up": (
        AveragePool2D((3, 2), stride=3, padding=1, ceil_mode=True, count_include_pad=True),
        (1, 1, 5, 6),
        [-1 / 2, 1 / 2, -5 / 3, 4 / 3, 5 / 3, 11 / 6],
        [
            *(2 * [-5 / 6, 0, 5 / 6, 5 / 6, 0, -1 / 6]),
            *(3 * [-1 / 6, 0, 5 / 6, 5 / 6, 0, -5 / 6]),
        ],
    ),
    "mean, padding left out, rounded up": (
        AveragePool2D((3, 2), stride=3, padding=1, ceil_mode=True),
        (1, 1, 5, 6),
        [-3 / 2, 3 / 4, -5, 8 / 3, 5 / 3, 11 / 3],
        [
            *(2 * [-5 / 2, 0, 5 / 4, 5 / 4, 0, -1 / 2]),
            *(3 * [-1 / 3, 0, 5 / 6, 5 / 6, 0, -5 / 3]),
        ],
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_has_the_same_numbers(name: str) -> None:
    layer, shape, right_y, right_dx = PYTORCH[name]
    y, dx = run(layer, integers(*shape))
    np.testing.assert_allclose(y.ravel(), right_y, rtol=1e-14)
    np.testing.assert_allclose(dx.ravel(), right_dx, rtol=1e-14)


def test_of_equal_numbers_the_first_gets_the_gradient() -> None:
    _, dx = run(MaxPool2D(2), np.zeros((1, 1, 4, 4)), np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    np.testing.assert_array_equal(dx[0, 0], [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]])
    _, dx = run(MaxPool2D((1, 3), stride=1), np.zeros((1, 1, 1, 4)), np.array([[[[1.0, 2.0]]]]))
    np.testing.assert_array_equal(dx[0, 0], [[1, 2, 0, 0]])  # the windows overlap, and each has a first of its own
    x = np.array([[[[3.0, 1, 3], [2, 3, 0]]]])
    _, dx = run(GlobalMaxPool(), x, np.array([[7.0]]))
    np.testing.assert_array_equal(dx[0, 0], [[7, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nan_is_not_lost_by_taking_the_largest(place: tuple[int, int]) -> None:
    x = np.ones((1, 1, 4, 4), np.float32)
    x[0, 0][place] = np.nan
    for layer, at in ((MaxPool2D(2), (0, 0, 0, 0)), (GlobalMaxPool(), (0, 0))):
        y, _ = Sequential(layer).build((1, 4, 4))[0].forward(x)
        assert np.isnan(y[at])
    y, _ = Sequential(MaxPool2D(2)).build((1, 4, 4))[0].forward(x)
    assert np.isnan(y).sum() == 1


def test_padding_never_wins() -> None:
    y, _ = run(MaxPool2D(3, stride=1, padding=1), -np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(y, -np.ones((1, 1, 2, 2)))


def test_same_padding_keeps_the_size() -> None:
    for kind in (MaxPool2D, AveragePool2D):
        y, dx = run(kind(2, stride=1, padding="same"), np.ones((2, 3, 4, 5)), np.ones((2, 3, 4, 5)))
        np.testing.assert_array_equal(y, np.ones((2, 3, 4, 5)))
        assert dx.sum() == pytest.approx(2 * 3 * 4 * 5, rel=1e-14)


def test_pixels_beyond_the_last_window_have_gradient_0() -> None:
    for layer in (MaxPool2D(2), AveragePool2D(2)):
        _, dx = run(layer, integers(1, 1, 3, 5), np.ones((1, 1, 1, 2)))
        assert not dx[0, 0, 2].any() and not dx[0, 0, :, 4].any()
        assert dx.sum() == 2


def test_global_pooling_gives_one_number_for_each_channel() -> None:
    x = integers(2, 3, 4, 5)
    np.testing.assert_allclose(run(GlobalAveragePool(), x)[0], x.mean(axis=(2, 3)), rtol=1e-14)
    np.testing.assert_array_equal(run(GlobalMaxPool(), x)[0], x.max(axis=(2, 3)))


def test_upsampling_repeats_pixels_and_average_pooling_takes_it_back() -> None:
    x = integers(2, 3, 2, 3)
    y, _ = run(Upsample2D((2, 3)), x)
    np.testing.assert_array_equal(y, x.repeat(2, axis=2).repeat(3, axis=3))
    np.testing.assert_allclose(run(AveragePool2D((2, 3)), y)[0], x, rtol=1e-14)


def build(layer: Callable[[], Any], shape: tuple[int, ...] = (1, 4, 4)) -> Callable[[], Any]:
    return lambda: Sequential(layer()).build(shape)


ROWS = (784,)
MISTAKES: dict[str, Case] = {
    "window of 0": (lambda: MaxPool2D(0), ConfigurationError, "MaxPool2D", "0", "(2, 3)"),
    "stride of 0": (lambda: AveragePool2D(2, stride=0), ConfigurationError, "AveragePool2D", "0", "(2, 3)"),
    "scale of a half": (lambda: Upsample2D(0.5), ConfigurationError, "Upsample2D", "0.5", "(2, 3)"),  # pyright: ignore[reportArgumentType]
    "too small an image": (
        build(lambda: MaxPool2D(5)),
        ConfigurationError,
        "layer 0: MaxPool2D(5)",
        "4 of them, in images (1, 4, 4)",
        "less pooling",
    ),
    "windows of padding": (
        build(lambda: AveragePool2D(2, padding=(0, 2))),
        ConfigurationError,
        "layer 0: AveragePool2D(2, padding=(0, 2))",
        "2 columns left, 2 right",
        "half the window",
    ),
    "rows to max pooling": (build(lambda: MaxPool2D(2), ROWS), ConfigurationError, "layer 0", "(784,)", "Reshape("),
    "rows to average": (build(lambda: AveragePool2D(2), ROWS), ConfigurationError, "layer 0", "(784,)", "Reshape("),
    "rows to global": (build(GlobalAveragePool, ROWS), ConfigurationError, "layer 0", "(784,)", "Reshape("),
    "rows to global max": (build(GlobalMaxPool, ROWS), ConfigurationError, "layer 0", "(784,)", "Reshape("),
    "rows to upsampling": (build(lambda: Upsample2D(2), ROWS), ConfigurationError, "layer 0", "(784,)", "Reshape("),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name: str) -> None:
    assert_helpful(MISTAKES[name])
