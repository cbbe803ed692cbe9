"""Pictures of handwritten digits from files.

PATH is an IDX file of images, a folder with MNIST's four IDX files or with train/ and test/ of text digits, a text
digit (28 lines of 28 gray values, then the label), or a folder of those. Without PATH: MNIST's test images.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynn import DataError, TinynnError, datasets, pictures
from tinynn.data import read_idx, read_text_digit, read_text_digits

SHADES = " .:-=+*#%@"  # from no ink to full ink


def read(path: Path | None, train: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The images, and their labels where the files tell them."""
    if path is None or (path.is_dir() and not any(path.glob("*.txt"))):
        data = datasets.mnist() if path is None else datasets.load(path)
        return data.train if train else data.test
    if path.is_dir():
        return read_text_digits(path)
    if path.suffix.lower() == ".txt":
        image, label = read_text_digit(path)
        return image[None], np.array([label])
    images = read_idx(path)
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape:
        raise DataError(
            "these are not gray images",
            path=path,
            expected="uint8 of shape (images, rows, columns)",
            got=f"{images.dtype} of shape {images.shape}",
            fix="name a file of images, such as t10k-images-idx3-ubyte.gz",
        )
    return images, None


def as_text(image: np.ndarray) -> list[str]:
    """One character for two pixels, one above the other: a character is about twice as high as wide."""
    even = np.pad(image.astype(float), ((0, len(image) % 2), (0, 0)))
    ink = (even[0::2] + even[1::2]) / 2
    return ["".join(row) for row in np.array(list(SHADES))[(ink / 256 * len(SHADES)).astype(int)]]


def print_digits(images: np.ndarray, titles: Sequence[str], columns: int) -> None:
    """Prints the images side by side, each under its title."""
    width = images.shape[2]
    for start in range(0, len(images), columns):
        row = range(start, min(start + columns, len(images)))
        print("  ".join(titles[i].center(width) for i in row).rstrip())
        for parts in zip(*(as_text(images[i]) for i in row), strict=True):
            print("  ".join(parts).rstrip())


def run(args: argparse.Namespace) -> None:
    """Reads, chooses, shows."""
    images, labels = read(args.path, args.train)
    if args.first >= len(images):
        raise DataError(
            "there are not so many images", path=args.path, expected=f"--first below {len(images)}", got=args.first
        )
    columns = args.columns
    if args.text:
        columns = max(1, min(columns, (shutil.get_terminal_size().columns + 2) // (images.shape[2] + 2)))
    chosen = slice(args.first, args.first + args.rows * columns)
    numbers = range(len(images))[chosen]
    titles = [f"number {i}" if labels is None else str(labels[i]) for i in numbers]
    if args.text:
        print_digits(images[chosen], titles, columns)
    else:
        print(pictures.digits(images[chosen], args.out, titles, columns))
    print(f"images {numbers[0]} to {numbers[-1]} of {len(images):,}", file=sys.stderr)
    if args.json:
        measured = {
            "images": len(images),
            "shape": list(images.shape[1:]),
            "shown": list(numbers),
            "labels": None if labels is None else labels[chosen].tolist(),
            "of_each_label": None if labels is None else np.bincount(labels, minlength=10).tolist(),
            "picture": None if args.text else str(args.out),
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(measured, indent=2) + "\n")


def count(text: str) -> int:
    """A number of things, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def position(text: str) -> int:
    """A number that counts from 0, for argparse."""
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError("it must be at least 0")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Takes the options from the command line; what is wrong with them or with the files becomes one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("path", type=Path, nargs="?", metavar="PATH", help="the files")
    add("--train", action="store_true", help="of a data set the training images, not the test images")
    add("--first", type=position, default=0, metavar="N", help="begin with image number N (default 0)")
    add("--rows", type=count, default=5, help="rows of digits (default 5)")
    add("--columns", type=count, default=10, help="digits a row (default 10; with --text, as many as fit)")
    add("--out", type=Path, default=Path("out", "digits.png"), metavar="FILE", help="the picture (.png, .svg, .pdf)")
    add("--text", action="store_true", help="print them here, in characters")
    add("--json", type=Path, metavar="FILE", help="write what is shown, and how many there are of each digit")
    try:
        run(parser.parse_args(argv))
    except TinynnError as error:
        sys.exit("error: " + "; ".join(" ".join(line.split()) for line in str(error).splitlines()))


if __name__ == "__main__":
    main()
