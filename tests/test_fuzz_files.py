"""Files damaged in 20,000 ways, each by a number: one DataError with the path, or what an independent reader gives too.

200,000 when TINYNN_ALL_CASES is set; for as many minutes as one likes:

    TINYNN_ALL_CASES=1 python -m pytest tests/test_fuzz_files.py
    python tests/fuzz_helpers.py --minutes 10
"""

from __future__ import annotations

import gzip
import io
import os
import random
import tracemalloc
from pathlib import Path

import pytest
from fuzz_corpus import IMAGES
from fuzz_helpers import FORMATS, IDX, attempt, damaged, make_gz, unzipped

from tinynn.data import gzip_stream

CASES = 200_000 if os.environ.get("TINYNN_ALL_CASES") else 20_000
EACH = -(-CASES // len(FORMATS))


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_refused_or_right(tmp_path: Path, name: str) -> None:
    accepted = 0
    for seed in range(EACH):
        try:
            accepted += attempt(name, seed, tmp_path)
        except Exception as error:
            raise AssertionError(f"attempt({name!r}, {seed}, ...)") from error
    # Neither everything nor nothing: the damage must reach all parts of a reader.
    assert EACH / 200 < accepted < EACH * 0.7


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_takes_little_memory(tmp_path: Path, name: str) -> None:
    attempt(name, 0, tmp_path)
    tracemalloc.start()
    try:
        for seed in range(-50, 0):
            attempt(name, seed, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_gzip_is_read_as_others_read_it() -> None:
    """Whatever zlib unpacks is unpacked, and to the same; what it refuses is refused."""
    agreed = {True: 0, False: 0}
    for seed in range(3000):
        content = make_gz(random.Random(seed))
        if content[:2] != b"\x1f\x8b":
            continue
        stream, ours = gzip_stream.GzipStream(io.BytesIO(content)), bytearray()
        try:
            while data := stream.read(7):
                ours += data
        except (EOFError, gzip_stream.zlib.error):
            ours = None
        try:
            theirs = unzipped(content)
        except (AssertionError, gzip_stream.zlib.error):
            theirs = None
        assert ours == theirs, seed
        agreed[ours is not None] += 1
        if ours is not None:
            assert gzip.decompress(content) == ours
    assert min(agreed.values()) > 300


def test_the_damage_is_the_same_each_time_and_of_every_sort() -> None:
    made = [damaged(IMAGES, random.Random(seed), IDX) for seed in range(300)]
    assert made == [damaged(IMAGES, random.Random(seed), IDX) for seed in range(300)]
    assert len(set(made)) > 290
    assert min(map(len, made)) < len(IMAGES) < max(map(len, made))


def test_a_reader_that_is_wrong_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(self: gzip_stream.GzipStream) -> None:
        self._member = None
        self._take(8)

    monkeypatch.setattr(gzip_stream.GzipStream, "_end", lenient)
    with pytest.raises((AssertionError, gzip_stream.zlib.error)):
        for seed in range(2000):
            attempt("gzip", seed, tmp_path)
