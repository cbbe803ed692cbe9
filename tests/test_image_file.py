"""PNG and JPEG files as gray arrays; whatever is wrong with one is a DataError that names it."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinynn import DataError, MissingExtraError
from tinynn.app import image_file
from tinynn.app.image_file import read_image

GRADIENT = np.arange(0, 240, 2).astype(np.uint8).reshape(10, 12)


def png(image: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def read(folder: Path, data: bytes) -> np.ndarray:
    (folder / "digit.png").write_bytes(data)
    return read_image(folder / "digit.png")


def test_gray_comes_as_it_is(tmp_path: Path) -> None:
    image = read(tmp_path, png(Image.fromarray(GRADIENT)))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, GRADIENT)


def test_colours_become_their_luminance(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    expected = rgb.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(read(tmp_path, png(Image.fromarray(rgb))) - expected).max() <= 1
    indexed = Image.fromarray(rgb).convert("P")
    np.testing.assert_array_equal(read(tmp_path, png(indexed)), np.asarray(indexed.convert("RGB").convert("L")))
    bits = Image.fromarray(GRADIENT > 100)
    np.testing.assert_array_equal(read(tmp_path, png(bits)), np.where(GRADIENT > 100, 255, 0))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    alpha = np.array([[0, 128, 255]], np.uint8)
    for mode in ("RGBA", "LA"):
        black = Image.new(mode, (3, 1))
        black.putalpha(Image.fromarray(alpha))
        assert np.abs(read(tmp_path, png(black)).astype(int) - [[255, 127, 0]]).max() <= 1
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    indexed.putpalette([0, 0, 0, 100, 100, 100, 200, 200, 200])
    np.testing.assert_array_equal(read(tmp_path, png(indexed, transparency=1)), [[0, 255, 200]])
    np.testing.assert_array_equal(read(tmp_path, png(Image.fromarray(GRADIENT), transparency=0))[0, :3], [255, 2, 4])


def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path) -> None:
    image = (np.array([[0, 255, 256, 40_000, 65_535]]) % 65_536).astype(np.uint16)
    np.testing.assert_array_equal(read(tmp_path, png(Image.fromarray(image))), [[0, 0, 1, 156, 255]])


def test_a_photograph_is_turned_upright_and_shrunk_while_it_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    small = Image.fromarray(np.repeat(np.repeat(GRADIENT, 8, 0), 8, 1))
    small.save(tmp_path / "small.jpg", exif=exif, quality=95)
    turned = read_image(tmp_path / "small.jpg")
    assert turned.shape == (96, 80)
    assert np.abs(turned.astype(int) - np.rot90(np.asarray(small), -1)).max() <= 6
    Image.new("L", (4200, 2300), 90).save(tmp_path / "large.jpg")
    large = read_image(tmp_path / "large.jpg")
    assert large.shape == (1150, 2100)
    assert np.unique(large).tolist() == [90]


def test_colours_of_print_are_read(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 10), (0, 0, 0, 255)).save(tmp_path / "print.jpg")
    assert read_image(tmp_path / "print.jpg").max() <= 3


def header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + ihdr + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ((7100, 7100), (10_000, 10_000), (32_769, 1), (1, 32_769)):
        with pytest.raises(DataError, match="too large") as caught:
            read(tmp_path, header(*size))
        assert f"{size[0]:,} x {size[1]:,}" in str(caught.value)
        assert str(tmp_path / "digit.png") in str(caught.value)
    for size in ((60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(DataError, match="cannot be read"):
            read(tmp_path, header(*size))
    monkeypatch.setattr(image_file, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="too large"):
        read(tmp_path, png(Image.fromarray(GRADIENT)))


def test_what_cannot_be_read_says_which_file(tmp_path: Path) -> None:
    gif = io.BytesIO()
    Image.fromarray(GRADIENT).save(gif, "GIF")
    whole = png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)))
    for data in (b"", b"no picture", gif.getvalue(), whole[: len(whole) // 2], whole[:30]):
        with pytest.raises(DataError, match="cannot be read") as caught:
            read(tmp_path, data)
        error = caught.value
        assert error.path == str(tmp_path / "digit.png")
        assert error.fix and error.got
        assert "BufferedReader" not in str(error)
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(DataError, match="folder"):
        read_image(tmp_path)


WHOLE = png(Image.fromarray(GRADIENT)), png(Image.fromarray(GRADIENT).convert("RGBA"))


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6), st.data())
@settings(max_examples=150)
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, flips: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place, value in flips:
        if damaged:
            damaged[place % len(damaged)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(damaged)
    try:
        image = read_image(path)
    except DataError as error:
        assert error.path == str(path)
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 2


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="images"):
        read_image(tmp_path / "digit.png")
