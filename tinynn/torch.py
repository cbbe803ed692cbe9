"""Parameters by PyTorch's names and in its layouts, as plain arrays: to it and from it, without importing it.

    model.load_state_dict({name: torch.from_numpy(a) for name, a in tinynn.torch.state_dict(net).items()})
    tinynn.torch.load_state_dict(net, model.state_dict())

A Sequential has the names of `nn.Sequential` of the same layers, "0.weight"; a Graph those of a module whose attributes
are called like its nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinynn.backend.dlpack import is_foreign, on_host
from tinynn.errors import ConfigurationError, DataError, ShapeError, TinynnError
from tinynn.layers import (
    Affine,
    BatchNorm,
    Conv2D,
    Dropout,
    Embedding,
    GroupNorm,
    LayerNorm,
    PReLU,
    RMSNorm,
)
from tinynn.network.network import Network

__all__ = ["load_state_dict", "state_dict"]

# What PyTorch calls the parameters and states; others keep their names.
NAMES: dict[type, dict[str, str]] = {
    Affine: {"W": "weight", "b": "bias"},
    Conv2D: {"W": "weight", "b": "bias"},
    Embedding: {"W": "weight"},
    PReLU: {"a": "weight"},
    RMSNorm: {"g": "weight"},
    LayerNorm: {"gamma": "weight", "beta": "bias"},
    GroupNorm: {"gamma": "weight", "beta": "bias"},
    BatchNorm: {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"},
}
COUNTER = "num_batches_tracked"  # of PyTorch's BatchNorm, which it does not need


class Place(NamedTuple):
    """An array of the network under PyTorch's name for it. `flipped`: whether PyTorch has it transposed."""

    key: str
    name: str
    view: Any
    flipped: bool
    one_for_all: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.view.shape[::-1] if self.flipped else self.view.shape


def state_dict(net: Network) -> dict[str, np.ndarray]:
    """The parameters and running means, each a copy, by PyTorch's names and in its layouts.

    Affine's W (D, M) is `weight` (M, D), its transpose; all others have one layout. BatchNorm's running variance is
    PyTorch's but for the factor n / (n - 1) in what each batch adds to it. A parameter of a layer of your own keeps its
    name. `torch.from_numpy` makes a tensor of each array; `safetensors.numpy.save_file` writes them all to a file.

    Errors: ConfigurationError for what is no network, NotBuiltError.
    """
    found = {}
    for place in places(net):
        array = np.array(net.ops.to_host(place.view))
        found[place.key] = np.ascontiguousarray(array.T) if place.flipped else array
    return found


def load_state_dict(net: Network, mapping: Mapping[str, Any], *, in_order: bool = False) -> Network:
    """Writes the arrays of a `state_dict` of PyTorch's into the network, and returns it.

    `mapping`: NumPy arrays or tensors by name, as `model.state_dict()` or a safetensors file has them. The names are
    those that `state_dict` gives; with `in_order` they may be any, such as conv1.weight and fc1.weight: layer by layer
    they are taken in the order in which they come. One number of PReLU counts for all features.

    Errors: ShapeError that names the key, for one that is missing or not expected, and for an array of another shape;
    DataError for what are no finite numbers; ConfigurationError. Nothing is changed then.
    """
    wanted = {place.key: place for place in places(net)}
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(
            "a state dict is a mapping",
            where="tinynn.torch.load_state_dict",
            expected="arrays by name",
            got=f"a {type(mapping).__name__}",
            fix="load_state_dict(net, model.state_dict())",
        )
    given = {str(key): value for key, value in mapping.items() if str(key).rpartition(".")[2] != COUNTER}
    if in_order:
        given = renamed(net, given, [*wanted])
    for key in [*wanted, *given]:
        if key not in given or key not in wanted:
            raise ShapeError(
                f"{key!r} is {'missing' if key in wanted else 'not expected'}",
                where=net.where,
                expected=wanted[key].shape if key in wanted else f"the names {', '.join(wanted)}"[:400],
                got="nothing of that name" if key in wanted else f"{key!r}",
                fix=f"mapping | {{{key!r}: np.zeros({wanted[key].shape})}} where the model has no bias"
                if key.endswith("bias") and key in wanted
                else "in_order=True where only the names differ; or give both networks the same layers",
            )
    arrays = {place.name: fitting(key, place, given[key]) for key, place in wanted.items()}
    kept = {name: net.ops.to_host(view) for name, view in net.storage.states.items() if name not in arrays}
    net.storage.assign(arrays | kept, where=net.where)
    return net


def places(net: Any) -> list[Place]:
    """The arrays of the network that PyTorch has too, in the order of the layers.

    Errors: ConfigurationError for what is no network.
    """
    if not isinstance(net, Network):
        raise ConfigurationError(
            "only networks have a state dict",
            where="tinynn.torch",
            expected="a Sequential or a Graph",
            got=repr(net),
            fix="Sequential(layer).build(shape)",
        )
    net._built()
    found = []
    views = {**net.storage.parameters, **net.storage.states}
    for path, layer in net.walk():
        if isinstance(layer, Dropout):  # where its masks are is nothing that PyTorch knows
            continue
        names = next((names for kind, names in NAMES.items() if isinstance(layer, kind)), {})
        for own in sorted(layer._built().declared, key=[*names, *layer._built().declared].index):
            name, key = (f"{path}.{part}" if path else part for part in (own, names.get(own, own)))
            flipped = isinstance(layer, Affine) and own == "W"
            found.append(Place(key, name, views[name], flipped, isinstance(layer, PReLU)))
    return found


def renamed(net: Network, given: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    """The arrays under the network's names, layer by layer in the order in which they come.

    Errors: ShapeError where the layers are not as many, or one has other parameters.
    """
    there, here = by_layer(given), by_layer(wanted)
    found = {}
    for (theirs, parts), (ours, expected) in zip(there.items(), here.items(), strict=False):
        if set(parts) != set(expected):
            raise ShapeError(
                f"the layers {theirs!r} and {ours!r} have other parameters",
                where=net.where,
                expected=", ".join(expected),
                got=", ".join(parts),
                fix="give both networks the same layers in the same order",
            )
        join = (f"{theirs}." if theirs else "", f"{ours}." if ours else "")
        found |= {join[1] + part: given[join[0] + part] for part in parts}
    if len(there) != len(here):
        raise ShapeError(
            "other numbers of layers with parameters",
            where=net.where,
            expected=f"{len(here)}: {', '.join(here)}"[:400],
            got=f"{len(there)}: {', '.join(there)}"[:400],
            fix="give both networks the same layers in the same order",
        )
    return found


def by_layer(names: Any) -> dict[str, list[str]]:
    """The last parts of names, by what stands before them."""
    found: dict[str, list[str]] = {}
    for name in names:
        layer, _, part = name.rpartition(".")
        found.setdefault(layer, []).append(part)
    return found


def fitting(key: str, place: Place, value: Any) -> np.ndarray:
    """The value as the network has it. Errors: ShapeError, DataError with the key."""
    try:
        array = on_host(value) if is_foreign(value) else np.asarray(value)
    except TinynnError as error:
        raise type(error)(
            f"{key!r}: {error.what}", where=error.where, expected=error.expected, got=error.got, fix=error.fix
        ) from error
    except Exception as error:
        array, reason = np.empty(0, object), str(error)
    else:
        reason = f"dtype {array.dtype}"
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        if array.dtype.kind in "biuf":
            reason = str(array[~np.isfinite(array)][0])
        fix = "pass NumPy arrays or tensors of finite numbers"
        raise DataError(f"{key!r} is not made of finite numbers", where=key, expected="numbers", got=reason, fix=fix)
    if place.one_for_all and array.shape == (1,):
        return np.broadcast_to(array, place.shape)
    if array.shape != place.shape:
        raise ShapeError(
            f"{key!r} has another shape",
            where=f"{key}, of {place.name}",
            expected=place.shape,
            got=array.shape,
            fix="give both networks layers of the same sizes; a weight is (outputs, inputs), as PyTorch has it",
        )
    return array.T if place.flipped else array
