"""Flatten, Reshape, Permute, Identity: the numbers stay, and shapes that cannot be are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinynn import ConfigurationError, Flatten, Identity, Layer, Permute, Reshape, Sequential, ShapeError, TinynnError

X = np.arange(24.0).reshape(2, 3, 4)


def out(layer: Layer) -> np.ndarray:
    return Sequential(layer).build((3, 4), dtype="float64").predict(X)


def test_values() -> None:
    np.testing.assert_array_equal(out(Flatten()), X.reshape(2, 12))
    np.testing.assert_array_equal(out(Reshape((2, -1, 3))), X.reshape(2, 2, 2, 3))
    np.testing.assert_array_equal(out(Permute(1, 0)), X.transpose(0, 2, 1))
    np.testing.assert_array_equal(out(Identity()), X)


def test_a_reshaped_image_is_the_image_of_its_row() -> None:
    """Whatever the order in memory: the last axis runs fastest."""
    net = Sequential(Permute(1, 0), Flatten(), Reshape((4, 3)), Permute(1, 0)).build((3, 4), dtype="float64")
    np.testing.assert_array_equal(net.predict(X), X)
    np.testing.assert_array_equal(net.predict(np.asfortranarray(X)), X)


def test_a_scalar_for_each_row() -> None:
    net = Sequential(Reshape(())).build((1,))
    assert net.predict(np.ones((5, 1))).shape == (5,)


WRONG: dict[str, tuple[Callable[[], Any], type[TinynnError], str]] = {
    "no tuple": (lambda: Reshape(3), ConfigurationError, "Reshape((1, 28, 28))"),  # pyright: ignore[reportArgumentType]
    "a size of 0": (lambda: Reshape((0, 3)), ConfigurationError, "(0, 3)"),
    "two free sizes": (lambda: Reshape((-1, -1)), ConfigurationError, "one of which may be -1"),
    "another number": (lambda: out(Reshape((5,))), ShapeError, "12 numbers"),
    "nothing that fits": (lambda: out(Reshape((5, -1))), ShapeError, "5 times something"),
    "an axis twice": (lambda: out(Permute(0, 0)), ConfigurationError, "a rearrangement of 0, 1"),
    "the batch axis too": (lambda: out(Permute(0, 1, 2)), ConfigurationError, "0, 1, 2"),
    "no axes": (lambda: out(Permute()), ConfigurationError, "nothing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused(case: str) -> None:
    call, kind, word = WRONG[case]
    with pytest.raises(kind) as caught:
        call()
    assert word in str(caught.value)
    assert caught.value.where and caught.value.fix
