"""Pictures from PNG and JPEG files, of any size, as gray arrays. Pillow is asked for nothing outside this module."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinynn.data.files import open_regular, plural
from tinynn.errors import DataError, MissingExtraError

__all__ = ["read_image"]

FORMATS = ("PNG", "JPEG")
MOST_BYTES = 64 << 20
MOST_PIXELS = 50_000_000  # what phones make; unpacked, and laid over white, one takes some 10 bytes at most
LONGEST = 1 << 15
ENOUGH = 1024  # pixels a side, to which a large JPEG is shrunk while it is decoded


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The picture in a PNG or JPEG file: uint8 (H, W), 0 black to 255 white, upright, and white where transparent.

    Colours become their luminance, (299 R + 587 G + 114 B) / 1000. A large JPEG comes smaller, by 2, 4 or 8, with no
    side below 1,024 pixels.
    Errors: DataError with the path for a file that is missing, damaged, of another format, or too large to unpack;
    MissingExtraError without the package Pillow.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("Pillow", extra="images", purpose="reading a picture") from error
    path = Path(path)
    with open_regular(path) as file, warnings.catch_warnings():
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            _refuse_size(path, plural(size, "byte"))
        # What Pillow warns of are odd metadata, which do not concern the pixels, and sizes that are refused below.
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=FORMATS) as image:
                if max(image.size) > LONGEST or image.width * image.height > MOST_PIXELS:
                    _refuse_size(path, f"{image.width:,} x {image.height:,} pixels")
                image.draft(None, (ENOUGH, ENOUGH))
                return np.array(_gray(Image, ImageOps.exif_transpose(image)))
        except DataError:
            raise
        except Exception as error:  # Pillow raises whatever comes of damaged bytes, SyntaxError and struct.error too
            raise DataError(
                "this picture cannot be read",
                path=path,
                expected="a PNG or JPEG file that is whole",
                got=" ".join(str(error).replace(repr(file), "the file").split()) or type(error).__name__,
                fix="open it in another program, and export it as PNG",
            ) from error


def _gray(Image: Any, image: Any) -> Any:
    """The picture in 8 bits of gray, laid over white."""
    if image.mode.startswith("I"):  # a PNG of 16 bits, which Pillow clips at 255 on the way to 8
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("L", image.size, 255)
        ground.paste(image.convert("L"), mask=image.getchannel("A"))
        return ground
    return image.convert("L")


def _refuse_size(path: Path, got: str) -> NoReturn:
    raise DataError(
        "this picture is too large",
        path=path,
        expected=f"at most {MOST_PIXELS:,} pixels, {LONGEST:,} along a side, in {MOST_BYTES >> 20} MB",
        got=got,
        fix="make it smaller; a few hundred pixels a side are plenty for a digit",
    )
