"""Any picture of a digit made into what a network that learned MNIST expects: `digitise`, as in docs/digitise.md.

A network that was shown only centred digits reads 97 % of these, and half of the same moved by two pixels. So what
somebody drew, scanned or photographed is brought to the place, size and brightness of the digits in MNIST first.

The page computes the same in JavaScript (`page/files/digitise.js`). All of it is done in whole numbers below 2^53,
which both languages hold exactly, so that both come to the same bytes; tests/digitise_vectors.json holds them to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinynn.errors import DataError

__all__ = ["BOX", "SIDE", "digitise"]

SIDE = 28
BOX = 20
FAINTEST = 32  # gray values between background and ink; a picture with less is blank
CUT = 64  # of 255: what is fainter is taken for noise
FINE = 1 << 16  # steps of a gray value while the picture is scaled, so that a hair's line in a large one is not lost
LONGEST = 1 << 15  # pixels along a side, lest a whole number reach 2^53
ROWS = 1 << 20  # pixels at a time, as float64


def digitise(image: Any) -> NDArray[np.uint8]:
    """The digit in a picture as MNIST has its digits: light on dark, 20 pixels long, in the middle of 28 x 28.

    Shapes: gray uint8 (H, W), 0 black and 255 white, dark ink on light ground or the other way round; any size up to
    32,768 each way. Returns uint8 (28, 28), a new array.
    Errors: DataError for an array of another kind, and for a blank picture.
    Source: the normalisation that MNIST's makers describe, Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database".
    """
    image = _checked(image)
    ink = _ink(image)[image]
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_scaled(ink))


def _checked(image: Any) -> NDArray[np.uint8]:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 2 or min(image.shape) < 1 or max(image.shape) > LONGEST:
        raise DataError(
            "this is not a gray picture",
            where="digitise",
            expected=f"uint8 of shape (H, W), both from 1 to {LONGEST:,}",
            got=f"{image.dtype} of shape {image.shape}",
            fix="tinynn.app.image_file.read_image(path) reads a PNG or JPEG file as one",
        )
    return image


def _ink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For each of the 256 gray values, how much ink it is: 0 the ground, 255 the value that is farthest from it.

    Errors: DataError for a blank picture.
    """
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    ground = int(np.sort(edge)[edge.size // 2 - 1])  # the median; of two the smaller
    lighter, darker = int(image.max()) - ground, ground - int(image.min())
    most = max(lighter, darker)
    if most < FAINTEST:
        raise DataError(
            "nothing is drawn on this picture",
            where="digitise",
            expected=f"ink that is at least {FAINTEST} gray values lighter or darker than the ground",
            got=f"a ground of {ground}, and nothing farther from it than {most}",
            fix="draw a digit, with a broad pen, or use a picture with more contrast",
        )
    values = np.arange(256)
    away = np.maximum(values - ground if lighter >= darker else ground - values, 0)
    ink = _divided(np.minimum(away, most) * 255, most)
    return np.where(ink < CUT, 0, ink).astype(np.uint8)


def _divided(a: Any, b: Any) -> Any:
    """a / b rounded to whole numbers, halves up, exactly."""
    return (2 * a + b) // (2 * b)


def _scaled(ink: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The picture with its longer side 20 and its brightest pixel 255."""
    longest = max(ink.shape)
    height, width = (max(int(_divided(BOX * side, longest)), 1) for side in ink.shape)
    across, across_sums = _weights(ink.shape[1], width)
    down, down_sums = _weights(ink.shape[0], height)
    # As float64, which holds these whole numbers exactly, so that BLAS can multiply them; some rows at a time.
    narrow = np.empty((ink.shape[0], width), np.int64)
    step = max(ROWS // ink.shape[1], 1)
    for start in range(0, len(ink), step):
        some = ink[start : start + step].astype(np.float64) @ across.T
        narrow[start : start + step] = _divided(FINE * some.astype(np.int64), across_sums)
    small = _divided((down @ narrow.astype(np.float64)).astype(np.int64), down_sums[:, None])
    return _divided(255 * small, small.max())


def _weights(length: int, outputs: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How much of each of `length` pixels goes into each of the outputs, (outputs, length), and the sums (outputs,).

    A triangle around the middle of the output, as wide as two outputs, or two pixels where these are wider.
    """
    middles = length * (2 * np.arange(outputs) + 1)[:, None]  # in units of 1 / (2 outputs) of a pixel
    pixels = outputs * (2 * np.arange(length) + 1)
    weights = np.maximum(2 * max(length, outputs) - np.abs(pixels - middles), 0)
    return weights.astype(np.float64), weights.sum(axis=1)


def _centred(small: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The small picture in one of 28 x 28, its centre of mass as near to pixel (14, 14) as whole steps allow.

    That is where MNIST's digits have it, counted from 0: at 14.01 and 13.99 in the mean of the test images.
    """
    digit, mass = np.zeros((SIDE, SIDE), np.uint8), int(small.sum())
    places = []
    for axis, length in enumerate(small.shape):
        moment = int((small.sum(axis=1 - axis) * np.arange(length)).sum())
        place = int(_divided(SIDE // 2 * mass - moment, mass))
        places.append(slice(place := min(max(place, 0), SIDE - length), place + length))
    digit[tuple(places)] = small
    return digit
