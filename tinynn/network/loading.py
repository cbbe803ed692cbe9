"""From a file to a network, without the code that made it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinynn.backend import Ops, get_backend
from tinynn.checks import known_precision
from tinynn.errors import DataError, TinynnError
from tinynn.layer import Shape
from tinynn.network import settings
from tinynn.network.building import check_precision, usable_dtype, usable_shapes
from tinynn.network.model_file import check_format, container
from tinynn.network.network import Network
from tinynn.network.restoring import Reader, complaint
from tinynn.network.storage import build_layers

__all__ = ["load"]

IN_CODE = "build the network in code as before, then net.load(path)"
SIDE = 2**40  # of a shape in a file


def load(path: str | os.PathLike[str], *, backend: str | Ops = "numpy", precision: str | None = None) -> Network:
    """The network that `net.save` wrote, or a checkpoint of `fit` holds: built, trained, and ready to go on.

    Nothing is drawn: all values come from the file, states such as BatchNorm's running means among them. Layers of your
    own must be registered: `@tinynn.register`. Nothing in a file is run or imported, so one from elsewhere is safe to
    open. `backend`, `precision`: as in `build`; the file's own precision, if the backend has it, unless one is named.

    Errors: DataError for a file that cannot be read, for a layer that is not known here, for an argument that no file
    holds; it names the layer, and what to do. ConfigurationError for the backend.
    """
    get_backend(backend, precision or "float32")  # a wrong argument is no fault of the file's
    header, arrays = container(path).read(path)
    if header is None:
        raise DataError(
            "the file holds arrays, and not of which network",
            path=path,
            expected="a file that net.save wrote",
            got="a safetensors file of another program",
            fix="build the network in code, then net.load(path), which reads arrays by name",
        )
    check_format(path, header)
    with told(path):
        reader = Reader(arrays)
        described = header.get("network")
        net = reader.read(described)
        if not isinstance(net, Network) or not isinstance(described, dict):
            refuse("the file does not describe a network", "a Sequential, a Graph, or a Network of your own", net)
        settings.adjust(reader)
        plan = planned(net, described.get("build"))
    ops = get_backend(backend, precision or (plan.precision if backend == "cupy" else "float32"))
    if precision is not None:
        check_precision(net, plan.dtype, ops)
    with told(path):
        check_precision(net, plan.dtype, ops)
        values = {name: array for name, array in arrays.items() if not name.startswith("#")}
        storage = build_layers(net, plan.shapes, ops, plan.dtype, plan.seed, plan.needs_dx, values)
        net.storage, net._seed = storage, plan.seed
        settings.adjust_after(net, described.get("after", {}), reader)
        metadata = header.get("metadata", {})
        if not isinstance(metadata, dict):
            refuse("the network's metadata are none", "an object", metadata)
        if metadata:
            net.metadata = metadata
    return net


class Plan(NamedTuple):
    """What `net.build` was given."""

    shapes: tuple[Shape, ...]
    dtype: np.dtype
    precision: str
    seed: int
    needs_dx: bool


def planned(net: Network, how: Any) -> Plan:
    """How the file says that the network is built. Errors: DataError and others of tinynn's."""
    names = {"shapes", "dtype", "precision", "seed", "needs_dx", "backend"}
    if not isinstance(how, dict) or how.keys() != names or not are_shapes(how["shapes"]):
        refuse("the file does not say how the network is built", ", ".join(sorted(names)), how)
    seed, needs_dx = how["seed"], how["needs_dx"]
    if type(seed) is not int or seed < 0 or type(needs_dx) is not bool or type(how["dtype"]) is not str:
        refuse("the file does not say how the network is built", "a seed >= 0, needs_dx and a dtype", how)
    shapes = usable_shapes(net, tuple(tuple(shape) for shape in how["shapes"]))
    return Plan(shapes, usable_dtype(net, how["dtype"]), known_precision(how["precision"]), seed, needs_dx)


def are_shapes(given: Any) -> bool:
    """Whether these are lists of sizes such as arrays have."""
    return isinstance(given, list) and all(
        isinstance(shape, list) and len(shape) < 64 and all(type(n) is int and 0 < n <= SIDE for n in shape)
        for shape in given
    )


@contextlib.contextmanager
def told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever a file leads to, as a DataError with its path.

    Everything but a lack of memory: layers of whoever wrote the file may raise anything for arguments that are wrong.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        what, where, expected, got, fix = "the network in the file cannot be built", "", None, complaint(error), IN_CODE
        if isinstance(error, TinynnError):
            what, where, expected, got = (shown(part) for part in (error.what, error.where, error.expected, error.got))
            fix = error.fix if isinstance(error, DataError) else IN_CODE
        raised = DataError(
            what,
            where=f"{os.fspath(path)}, {where}" if where else os.fspath(path),
            expected=expected or "what net.save writes",
            got=got,
            fix=fix,
        )
        raised.path = os.fspath(path)
        raise raised from error


def shown(part: object) -> str:
    """A part of an error, of which a file may have made a long text."""
    text = "" if part is None else str(part)
    return text if len(text) <= 1000 else f"{text[:300]} ... {text[-600:]}"


def refuse(what: str, expected: str, got: Any) -> NoReturn:
    """Errors: DataError."""
    raise DataError(what, where="the network", expected=expected, got=complaint(got), fix=IN_CODE)
