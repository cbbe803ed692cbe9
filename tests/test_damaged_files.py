"""Not one bit of a file can change unnoticed: each flip, cut, or addition is a DataError, and changes no network."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from misuse_helpers import net
from saving_helpers import npy, refused, zipped

import tinynn
from tinynn import Affine, BatchNorm, DataError, Dropout, PReLU, SoftmaxCrossEntropy
from tinynn.init import constant

FLIPS = 5000
CUTS = 1000
PARTS = 5


def network() -> tinynn.Sequential:
    layers = Affine(3, W=np.ones((4, 3))), BatchNorm(), Dropout(0.5), PReLU(constant(0.5)), Affine(2)
    return net(*layers, SoftmaxCrossEntropy(), seed=1)


def regions(whole: bytes, ending: str) -> dict[str, range]:
    """Where in the file what is."""
    if ending == "safetensors":
        header = 8 + int.from_bytes(whole[:8], "little")
        return {"length": range(8), "header": range(8, header), "arrays": range(header, len(whole))}
    header, directory = whole.index(b"0.W.npy") - 30, whole.index(b"PK\x01\x02")
    return {
        "header": range(header),
        "arrays": range(header, directory),
        "directory": range(directory, len(whole) - 64),
        "digest": range(len(whole) - 64, len(whole)),
    }


class Damaged:
    """A file whose bytes are changed again and again, and a network that it must not get into."""

    def __init__(self, folder: Path, ending: str) -> None:
        self.path, self.net = folder / f"net.{ending}", network()
        self.net.save(self.path)
        self.whole = self.path.read_bytes()
        self.net.storage.params[...] = 0.5
        self.net.storage.state[...] = 0.25
        self.tried = 0

    def refuses(self, data: bytes) -> None:
        """Errors: AssertionError for a file that is taken, or that gets a number into the network."""
        assert data != self.whole
        self.path.write_bytes(data)
        for call in (lambda: self.net.load(self.path), lambda: tinynn.load(self.path)):
            try:
                call()
            except DataError as error:
                assert error.path == str(self.path)
            else:
                raise AssertionError(f"a damaged file was loaded, {len(data)} bytes")
        assert (self.net.storage.params == 0.5).all()
        assert (self.net.storage.state == 0.25).all()
        self.tried += 1

    def survives(self) -> None:
        """The whole file is still read."""
        self.path.write_bytes(self.whole)
        for name, array in tinynn.load(self.path).storage.arrays().items():
            np.testing.assert_array_equal(self.net.load(self.path).storage.arrays()[name], array)


@pytest.fixture(params=["npz", "safetensors"])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Damaged]:
    found = Damaged(tmp_path, request.param)
    yield found
    found.survives()


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@pytest.mark.parametrize("part", range(PARTS))
def test_no_flipped_bit_is_loaded(part: int, damaged: Damaged) -> None:
    draw, places = random.Random(part), regions(damaged.whole, damaged.path.suffix[1:])
    for region in places.values():
        bits = range(8 * region.start, 8 * region.stop)
        # As many in each region as it has, where they are few: all bits of the digest, a share of the arrays.
        for bit in draw.sample(bits, min(len(bits), FLIPS // PARTS // len(places))):
            damaged.refuses(flipped(damaged.whole, bit))
    while damaged.tried < FLIPS // PARTS:
        damaged.refuses(flipped(damaged.whole, draw.randrange(8 * len(damaged.whole))))


def test_no_file_that_was_cut_is_loaded(damaged: Damaged) -> None:
    draw, size = random.Random(0), len(damaged.whole)
    lengths = {*range(40), *range(size - 120, size)}
    while len(lengths) < CUTS:
        lengths.add(draw.randrange(size))
    for length in sorted(lengths):
        damaged.refuses(damaged.whole[:length])
    for cut in sorted(lengths)[1::10]:
        damaged.refuses(damaged.whole[cut:])


def test_no_file_with_something_added_is_loaded(damaged: Damaged) -> None:
    draw, whole = random.Random(0), damaged.whole
    for i in range(100):
        more = draw.randbytes(draw.randint(1, 100)) if i % 2 else bytes(1 + i)
        place = draw.choice([0, len(whole), draw.randrange(len(whole))])
        damaged.refuses(whole[:place] + more + whole[place:])
    damaged.refuses(whole + whole)
    for start in draw.sample(range(len(whole) - 100), 100):  # what stands there stands there twice, or is away
        stretch = slice(start, start + draw.randint(1, 100))
        damaged.refuses(whole[: stretch.stop] + whole[stretch] + whole[stretch.stop :])
        damaged.refuses(whole[: stretch.start] + whole[stretch.stop :])


def test_two_parts_in_each_others_place_are_not_loaded(damaged: Damaged) -> None:
    draw, whole = random.Random(0), damaged.whole
    for _ in range(100):
        a, b = sorted(draw.sample(range(0, len(whole) - 8, 4), 2))
        data = bytearray(whole)
        data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]
        if data != whole:
            damaged.refuses(bytes(data))


def test_a_member_twice_or_one_more_is_refused_whatever_the_digest(tmp_path: Path) -> None:
    """Under a digest that is right: what is then refused is the members themselves."""
    first = net(Affine(3))
    first.save(tmp_path / "net.npz")
    whole, arrays = (tmp_path / "net.npz").read_bytes(), first.storage.arrays()
    text = re.search(rb'\{"format".*?\}\}\}(?=PK)', whole)
    assert text is not None
    header = ("tinynn.json", text.group())
    members = [(f"{name}.npy", npy(array)) for name, array in arrays.items()]
    path = tmp_path / "members.npz"
    path.write_bytes(zipped([header, *members]))
    assert tinynn.load(path).storage.params.tobytes() == first.storage.params.tobytes()
    extra = [("0.V.npy", npy(np.ones(3))), ("notes.txt", b"hello"), ("0.W", b""), ("1.W.npy", npy(np.ones((3, 3))))]
    wrong = [[header, *members, member] for member in (*members, *extra)]
    wrong += [[header, header, *members], [*members, header], members, [header], [header, members[0]]]
    wrong += [[header, members[0], (members[1][0].upper(), members[1][1])], [], [members[0]]]
    for listed in wrong:
        path.write_bytes(zipped(listed))
        refused(lambda: tinynn.load(path), path)
