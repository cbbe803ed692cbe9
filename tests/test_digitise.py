"""Pictures of digits become what MNIST has: to the byte as docs/digitise.md says, and good enough to be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from docs.digitise import main, measure
from tests.digitise_vectors import by_the_book, pictures, read, stroke
from tests.page_helpers import reader
from tinynn import DataError, datasets
from tinynn.app import digitise as module
from tinynn.app.digitise import digitise

VECTORS = {one["name"]: one for one in read()}


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors(name: str) -> None:
    image, digit = VECTORS[name]["image"], VECTORS[name]["digit"]
    if digit is None:
        with pytest.raises(DataError, match="nothing is drawn"):
            digitise(image)
    else:
        made = digitise(image)
        assert (made.dtype, made.shape) == (np.uint8, (28, 28))
        np.testing.assert_array_equal(made, digit)
    book = by_the_book(image.tolist())
    assert book == (None if digit is None else digit.tolist()), "run: python -m tests.digitise_vectors"


def test_the_vectors_are_those_that_the_script_draws() -> None:
    assert {name: image.shape for name, image in pictures().items()} == {
        name: one["image"].shape for name, one in VECTORS.items()
    }


@given(st.data())
@settings(max_examples=60)
def test_any_picture_comes_out_as_the_page_says(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    image = rng.integers(0, data.draw(st.integers(1, 256)), shape).astype(np.uint8)
    image[rng.random(shape) < data.draw(st.sampled_from([0, 0.5, 0.95]))] = data.draw(st.integers(0, 255))
    expected = by_the_book(image.tolist())
    if expected is None:
        with pytest.raises(DataError, match="nothing is drawn"):
            digitise(image)
    else:
        assert digitise(image).tolist() == expected


LINES = st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=2, max_size=5, unique=True)


@given(LINES, st.tuples(*[st.integers(1, 30)] * 4), st.booleans())
@settings(max_examples=60)
def test_where_it_stands_changes_no_byte(
    points: list[tuple[float, float]], room: tuple[int, int, int, int], dark: bool
) -> None:
    image = np.pad(stroke((30, 30), points, 3), 1)
    moved = np.pad(image, (room[:2], room[2:]))
    np.testing.assert_array_equal(digitise(255 - moved if dark else moved), digitise(image))


@given(LINES, st.integers(2, 5))
@settings(max_examples=40)
def test_its_size_changes_little(points: list[tuple[float, float]], times: int) -> None:
    # From one point far enough that a pixel more or less at the box's edge is not all of it.
    image = np.pad(stroke((60, 60), [(0.1, 0.1), (0.9, 0.5), *points], 6), 1)
    large = image.repeat(times, 0).repeat(times, 1)
    small, other = digitise(image).astype(int), digitise(large)
    # A centre of mass that is half way between two pixels may be rounded to either.
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert min(np.abs(np.roll(small, step, (0, 1)) - other).mean() for step in steps) <= 3


@given(LINES, st.floats(2, 9))
@settings(max_examples=60)
def test_it_is_20_long_and_in_the_middle(points: list[tuple[float, float]], width: float) -> None:
    digit = digitise(np.pad(stroke((60, 60), points, width), 1)).astype(float)
    assert digit.max() == 255
    ink = digit > 0
    sides = [np.flatnonzero(ink.any(axis=axis)) for axis in (0, 1)]
    lengths = [side[-1] - side[0] + 1 for side in sides]
    assert 18 <= max(lengths) <= 20  # the outermost pixels may round to 0
    middle = [(digit.sum(axis=axis) * np.arange(28)).sum() / digit.sum() for axis in (0, 1)]
    for place, side in zip(middle, sides, strict=True):
        assert abs(place - 14) <= 0.5 or side[0] <= 1 or side[-1] >= 26


def test_the_scaling_is_that_of_other_programs() -> None:
    rng = np.random.default_rng(0)
    ink = rng.integers(64, 256, (133, 61)).astype(np.uint8)
    ink[50, 30] = 255
    small = module._scaled(ink)
    other = np.asarray(Image.fromarray(ink).resize((9, 20), Image.Resampling.BILINEAR)).astype(float)
    assert np.abs(small - other * 255 / other.max()).max() <= 2


def test_the_largest_pictures_stay_exact_and_thin_lines_visible() -> None:
    image = np.zeros((32_768, 40), np.uint8)
    image[1:-1, 20] = 255
    assert np.unique(digitise(image)[5:22, 14]).tolist() == [255]
    wide = np.zeros((3, 32_768), np.uint8)
    wide[1, [5, -5]] = 255
    digit = digitise(wide)
    assert digit.sum() == 510
    assert (digit[14, 5], digit[14, 24]) == (255, 255)
    _, sums = module._weights(32_768, 20)
    assert 2 * 255 * module.FINE * int(sums.max()) + int(sums.max()) < 2**53


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((28, 28)),
        np.zeros((1, 28, 28), np.uint8),
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 0), np.uint8),
        np.zeros((1, 32_769), np.uint8),
        np.zeros((), np.uint8),
        [[1, 2], [3, 4]],
        "a picture",
    ],
)
def test_what_is_no_gray_picture_is_refused(image: object) -> None:
    with pytest.raises(DataError, match="not a gray picture") as caught:
        digitise(image)
    assert caught.value.fix


def test_the_input_is_left_alone() -> None:
    image = np.pad(stroke((30, 30), [(0.2, 0.2), (0.8, 0.8)], 3), 1)
    before = image.copy()
    image.setflags(write=False)
    digitise(image[::-1])
    np.testing.assert_array_equal(image, before)


def test_digits_that_are_moved_and_scaled_are_read_as_well_as_others() -> None:
    images, labels = (part[:3000] for part in datasets.mnist(download=False).test)
    found = measure(reader(), images, labels)
    assert found["as they are"] >= 0.965
    assert found["moved and scaled, digitised"] >= 0.95
    assert found["moved and scaled, digitised"] >= found["as they are"] - 0.01


def test_the_script_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader().save(tmp_path / "model.npz")
    assert main(["--model", str(tmp_path / "model.npz"), "--rows", "200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(float(line.split()[-1].rstrip("%")) > 90 for line in lines)
    assert main(["--model", str(tmp_path / "none.npz")]) == 2
    assert "does not exist" in capsys.readouterr().err
