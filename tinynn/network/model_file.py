"""Networks as files: what they are made of, their parameters and states.

Which kind of file it is follows from its name: `.safetensors`, and an archive of tinynn's own for all others.
"""

from __future__ import annotations

import operator
import os
from typing import Any

import numpy as np

from tinynn.backend import named
from tinynn.errors import ConfigurationError, DataError, StateError
from tinynn.network import settings
from tinynn.network.restoring import complaint
from tinynn.network.structure import Writer
from tinynn.version import __version__

__all__ = ["arrays_in", "check_format", "container", "contents", "write"]

FORMAT = 1


def contents(net: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header that describes a built network, and the arrays that were arguments of its layers.

    The same network has the same one, in every process.
    """
    site = net._built()
    if site.path:
        raise StateError(
            "a network inside another one is saved with that",
            where=net.where,
            expected="the outermost network, which owns the parameters",
            got=f"layer {site.path} of it",
            fix="save the outermost network",
        )
    initialisers = {id(d.init) for _, layer in net.walk() for d in layer._built().declared.values()}
    writer = Writer(net.ops, initialisers)
    described = writer.write(net)
    settings.record(net, described, writer)
    backend = named(net.ops)
    described["build"] = {
        "shapes": [list(shape) for shape in site.shapes],
        "dtype": str(net.dtype),
        "precision": net.ops.precision,
        "seed": operator.index(net._seed),
        "needs_dx": bool(net.needs_dx),
        "backend": backend if isinstance(backend, str) else type(backend).__name__,
    }
    header = {"format": FORMAT, "tinynn": __version__, "numpy": np.__version__, "network": described}
    if net.metadata:
        check_metadata(net)
        header["metadata"] = dict(net.metadata)
    return header, writer.arrays


def check_metadata(net: Any) -> None:
    """Errors: ConfigurationError for metadata that would not come back from a file as they are."""
    from tinynn.data.json_header import from_json, to_json  # not at the top, as in `container`

    try:
        # By their texts, since 1, 1.0 and True are equal.
        same = repr(from_json(to_json(dict(net.metadata)))) == repr(dict(net.metadata))
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise ConfigurationError(
            "metadata that no file can hold",
            where="net.metadata",
            expected="a dictionary of what JSON holds: texts, finite numbers, lists, dictionaries with texts as keys",
            got=complaint(net.metadata),
            fix='net.metadata = {"classes": ["setosa", "versicolor"]}',
        )


def write(path: str | os.PathLike[str], net: Any) -> None:
    """Writes a built network; a file that was there before is replaced whole or not at all.

    Errors: DataError with the path and the reason.
    """
    header, arguments = contents(net)
    container(path).write(path, header, {**net.storage.arrays(), **arguments})


def container(path: str | os.PathLike[str]) -> Any:
    """The module that writes and reads files of this name."""
    # Not at the top: files and archives take 13 ms to import.
    if os.fspath(path).endswith(".safetensors"):
        from tinynn.network import tensors_file

        return tensors_file
    from tinynn.data import archive

    return archive


def arrays_in(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The parameters and states in a file, by name; those of a safetensors file that another program wrote, too.

    Errors: DataError with the path.
    """
    header, arrays = container(path).read(path)
    if header is not None:
        check_format(path, header)
        arrays = {name: array for name, array in arrays.items() if not name.startswith("#")}
    return arrays


def check_format(path: str | os.PathLike[str], header: dict[str, Any]) -> None:
    """Errors: DataError for a file of a newer version of tinynn, or of none."""
    number = header.get("format")
    if type(number) is int and number > FORMAT:
        raise DataError(
            "the file was written by a newer tinynn",
            path=path,
            expected=f"format {FORMAT}, of tinynn {__version__}",
            got=f"format {complaint(number)}, of tinynn {complaint(header.get('tinynn'))}",
            fix="upgrade tinynn: pip install --upgrade tinynn-xp",
        )
    if number != FORMAT or type(number) is not int:
        raise DataError(
            "the file does not say what it is",
            path=path,
            expected=f"a header with format {FORMAT}",
            got=f"format {complaint(number)}",
            fix="save the network again",
        )
