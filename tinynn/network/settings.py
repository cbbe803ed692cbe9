"""Settings that were changed after a layer was made, `net[1].rate = 0.3`: what differs from a layer made anew.

A twin of the network is made of its description. What its layers have otherwise before they are built are "settings",
set again before a loaded network is built; what then still differs is set "after".
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from tinynn.layer import Layer, attach
from tinynn.network.restoring import Reader, complaint, refuse
from tinynn.network.structure import DEEPEST, Writer
from tinynn.site import Build

__all__ = ["adjust", "adjust_after", "record"]

MACHINERY = {"_arguments", "_site", "_scratch", "_seed", "xp", "ops", "dtype", "needs_dx", "storage"}
FIX = "build the network in code as before, then net.load(path)"


def record(net: Any, described: dict[str, Any], writer: Writer) -> None:
    """Adds to the description what was changed since the layers were made; nothing where no twin can be made."""
    # A setting that was changed, and the network not built again, may no longer fit the arrays: then it is set after.
    for early in (True, False):
        try:
            reader = Reader(writer.arrays, writer.kinds)
            twin = reader.read(described)
            pairs = [(layer, other, own) for (layer, own), (other, _) in zip(writer.layers, reader.layers, strict=True)]
            changed = [differing(layer, other, writer) if early else {} for layer, other, _ in pairs]
            for (_, other, _), settings in zip(pairs, changed, strict=True):
                set_all(other, settings, reader, "")
            build = Build(net.ops, net.dtype, weakref.ref(twin))
            attach(twin, net._site.shapes, build, "", net.needs_dx)
        except Exception:
            continue
        if declared(twin) != declared(net):
            continue
        for (_, _, own), settings in zip(pairs, changed, strict=True):
            if settings:
                own["settings"] = settings
        twins = dict(twin.walk())
        after = {path: differing(layer, twins[path], writer) for path, layer in net.walk() if path in twins}
        if any(after.values()):
            described["after"] = {path: settings for path, settings in after.items() if settings}
        return


def declared(net: Layer) -> list[tuple[str, str, tuple[int, ...]]]:
    """The arrays of all layers: where, names, shapes."""
    return [(path, d.name, d.shape) for path, layer in net.walk() for d in layer._built().declared.values()]


def differing(layer: Layer, twin: Layer, writer: Writer) -> dict[str, Any]:
    """What the layer has otherwise than its twin, among what the twin has too."""
    own = {name: writer.write(value) for name, value in simple(layer).items()}
    others = {name: writer.write(value) for name, value in simple(twin).items()}
    # By their texts, since 1, 1.0 and True are equal.
    return {name: own[name] for name, other in others.items() if name in own and repr(own[name]) != repr(other)}


def simple(layer: Layer) -> dict[str, Any]:
    """The attributes that are numbers and texts, and tuples and lists of them."""
    held = {name: value for name, value in vars(layer).items() if name not in MACHINERY}
    return {name: value for name, value in held.items() if is_simple(value)}


def is_simple(value: Any, depth: int = 0) -> bool:
    """Whether the value is made of numbers and texts alone."""
    if type(value) in (tuple, list) and depth < DEEPEST:
        return all(is_simple(part, depth + 1) for part in value)
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, np.bool_ | np.number)


def adjust(reader: Reader) -> None:
    """Sets the settings of all layers that were made. Errors: DataError."""
    for layer, described in reader.layers:
        if "settings" in described:
            set_all(layer, described["settings"], reader, complaint(layer))


def adjust_after(net: Layer, after: Any, reader: Reader) -> None:
    """Sets what is set in the built network. Errors: DataError."""
    layers = dict(net.walk())
    if type(after) is not dict or after.keys() - layers.keys():
        refuse("settings of layers that are not there", "", ", ".join(layers)[:200], complaint(after), FIX)
    for path, settings in after.items():
        set_all(layers[path], settings, reader, f"layer {path}" if path else "")


def set_all(layer: Layer, settings: Any, reader: Reader, place: str) -> None:
    """Gives a layer these settings in the place of those that it has. Errors: DataError."""
    if type(settings) is not dict:
        refuse("settings that are none", place, "an object", complaint(settings), FIX)
    for name, given in settings.items():
        value = reader.read(given, f"{place}, setting {complaint(name)}")
        if name not in simple(layer) or not is_simple(value):
            refuse("a setting that the layer does not have", place, "numbers and texts", complaint(name), FIX)
        setattr(layer, name, value)
