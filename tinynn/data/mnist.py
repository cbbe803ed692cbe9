"""MNIST's four files: how they are named, and how they are fetched and verified.

Sources: the names are those of the MNIST database; the mirrors are those that torchvision (first) and many TensorFlow
programs (second) read from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tinynn.data.byte_source import byte_source
from tinynn.data.files import list_folder, make_folder, written_atomically
from tinynn.errors import DataError, MissingExtraError

__all__ = ["IDX_NAMES", "download_mnist", "find_idx_files"]

# Size and SHA-256 of the uncompressed files: compressing them again changes neither.
_CONTENTS = {
    "train-images-idx3-ubyte": (47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# What gzip may add to content that cannot be compressed, and more.
_OVERHEAD = 1024

IDX_NAMES = tuple(_CONTENTS)
"""Training images and labels, test images and labels."""


def find_idx_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Those of the four files that `folder` holds, by the names in `IDX_NAMES`.

    Each may be spelled with a dash or, as some archives do, with a dot (`train-images.idx3-ubyte`), and may be
    compressed (`.gz`). Of several the plain file wins, then the one with the dash.

    Errors: DataError when the folder cannot be listed.
    """
    folder = Path(folder)
    files, _ = list_folder(folder)
    found = {}
    for name in IDX_NAMES:
        dotted = name.replace("-idx", ".idx")
        spellings = [spelling for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz") if spelling in files]
        if spellings:
            found[name] = folder / spellings[0]
    return found


def download_mnist(folder: str | os.PathLike[str]) -> None:
    """Fetch those of MNIST's four files that `folder` does not hold, with a progress bar on a terminal.

    A file gets its name only after its uncompressed content has been verified; a damaged one leaves nothing behind.
    When one mirror fails, the next is asked.

    Errors: MissingExtraError without the package pooch. DataError when every mirror fails, with the reason of each.
    """
    try:
        import pooch
    except ImportError as error:
        purpose = "MNIST is in none of the usual places, and downloading it"
        raise MissingExtraError("pooch", extra="download", purpose=purpose) from error
    folder = Path(folder)
    make_folder(folder)
    watched = sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    fetch = pooch.HTTPDownloader(progressbar=watched, chunk_size=1 << 16)
    there = find_idx_files(folder)
    for name in IDX_NAMES:
        if name not in there:
            _download(name, folder / f"{name}.gz", fetch)


class _Capped:
    """A file that refuses to grow beyond `room` bytes, lest a mirror fill the disk."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        self._file = file
        self._room = room

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError("it is larger than it can be")
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _download(name: str, path: Path, fetch: Callable[..., object]) -> None:
    size, _ = _CONTENTS[name]
    failures = []
    for mirror in _MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            with written_atomically(path) as file:
                try:
                    fetch(url, _Capped(file, size + _OVERHEAD), None)
                except (OSError, ValueError) as error:  # requests derives its errors from OSError
                    raise DataError(
                        "the download failed",
                        path=path,
                        expected=f"{name}.gz from {mirror}",
                        got=f"{type(error).__name__}: {error}",
                        fix="check the connection",
                    ) from error
                _verify(name, path, file)
            return
        except DataError as error:
            failures.append(f"{url}: {error.what} ({error.got})")
    raise DataError(
        f"cannot download {name}",
        path=path,
        expected="one of the mirrors to send it",
        got="; ".join(failures),
        fix="check the connection, or fetch the four files by other means and pass their folder",
    )


def _verify(name: str, path: Path, file: IO[bytes]) -> None:
    size, expected = _CONTENTS[name]
    with byte_source(file, path, max_bytes=size) as source:
        content = source.take(size, "the content of the file")
        source.finish()
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise DataError(
            "the content is not that of MNIST",
            path=path,
            expected=f"SHA-256 {expected}",
            got=f"SHA-256 {got}",
            fix="fetch the file from another place",
        )
