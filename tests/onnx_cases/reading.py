"""Reading the cases that the installed onnx package carries.

The cases of single nodes exist only as code, which makes their numbers when it is imported; those of whole graphs, made
by PyTorch, are files. The inputs of some are drawn from NumPy's global generator: it is seeded meanwhile, so that every
run sees the same numbers.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from ambient import numpys_own
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

__all__ = ["Stored", "collect"]

KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")


class Stored(NamedTuple):
    """A case: a graph, its tolerances, and where its data are: arrays, or a folder of files."""

    id: str
    model: Any
    rtol: float
    atol: float
    data: Sequence[Any] | Path

    def read(self) -> list[tuple[list[Any], list[Any]]]:
        """The stored inputs and outputs, one pair for each data set."""
        if not isinstance(self.data, Path):
            return [([as_array(x) for x in xs], [as_array(y) for y in ys]) for xs, ys in self.data]
        folders = sorted(self.data.glob("test_data_set_*"))
        return [(read_files(folder, "input"), read_files(folder, "output")) for folder in folders]


@functools.cache
def collect() -> list[Stored]:
    """Every case of the installed onnx package, sorted by name."""
    with warnings.catch_warnings(), numpys_own(seed=0):
        warnings.simplefilter("ignore", RuntimeWarning)  # onnx's reference divides by 0 and overflows on purpose
        warnings.simplefilter("ignore", DeprecationWarning)  # some of its cases are older than NumPy 2.5
        cases = [(kind, case) for kind in KINDS for case in load_model_tests(kind=kind)]
    return sorted((stored(kind, case) for kind, case in cases), key=lambda case: case.id)


def stored(kind: str, case: Any) -> Stored:
    name = f"{kind}/{case.name}"
    if case.model is not None:
        return Stored(name, case.model, case.rtol, case.atol, case.data_sets)
    folder = Path(case.model_dir)
    return Stored(name, onnx.load(folder / "model.onnx"), case.rtol, case.atol, folder)


def read_files(folder: Path, what: str) -> list[Any]:
    files = [folder / f"{what}_{i}.pb" for i in range(len(list(folder.glob(f"{what}_*.pb"))))]
    return [numpy_helper.to_array(onnx.load_tensor(file)) for file in files]


def as_array(value: Any) -> Any:
    """An array; a sequence of arrays stays one."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
