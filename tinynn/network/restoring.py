"""The way back from a description to a network, for files that may be anything: whatever is wrong is one DataError.

No name of a file is imported, and nothing of it is called but constructors of registered classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any, NoReturn

import numpy as np

from tinynn import registry
from tinynn.errors import DataError, StateError
from tinynn.layer import Layer
from tinynn.network.structure import ARGUMENT, DEEPEST, KINDS, LARGEST, NUMBERS

__all__ = ["Forgotten", "Reader", "complaint", "refuse"]

IN_CODE = "build the network in code as before, then net.load(path)"
WRITTEN = "what net.save writes"
PAIRS = 2**24  # nodes of a graph times what they read: it looks at each pair
AGAIN = 2**21  # elements of arrays that may be given to several layers, beyond eight times of those in the file


class Forgotten:
    """Stands where a function was that the file has only the name of: an initialiser, called in `build` alone."""

    def __init__(self, name: str, place: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.place = place

    def __call__(self, *args: Any) -> NoReturn:
        raise StateError(
            f"the initialiser {self.__name__} was not saved with the network, so it cannot be built again",
            where=self.place,
            expected="one of tinynn.init, or a function under @tinynn.register",
            got=self.__name__,
            fix="build the network in code; or register the initialiser, save and load again",
        )


class Reader:
    """Makes layers of their descriptions. `kinds`: the classes by their names, in place of those that are registered.

    `layers`: those that were made, each with its description, inner ones first.
    Errors: DataError with the place in the network.
    """

    def __init__(self, arrays: dict[str, np.ndarray], kinds: dict[Any, type[Layer]] | None = None) -> None:
        self.arrays, self.kinds = arrays, kinds
        self.layers: list[tuple[Layer, dict[str, Any]]] = []
        self.given: set[str] = set()
        self.left = AGAIN + 8 * sum(a.size for name, a in arrays.items() if name.startswith(ARGUMENT))

    def read(self, given: Any, place: str = "", depth: int = 0) -> Any:
        """The value that is described."""
        kind = type(given)
        if depth > 2 * DEEPEST:
            refuse("the network is nested too deep", place, f"at most {DEEPEST} levels", "more of them", IN_CODE)
        if kind is list:
            return [self.read(part, f"{place}[{i}]", depth + 1) for i, part in enumerate(given)]
        if kind is int and abs(given) >= LARGEST:
            refuse("an integer is too large", place, "at most 256 bits", f"{given.bit_length()} bits", IN_CODE)
        if kind is float and not math.isfinite(given):
            refuse("a number is too large", place, "a finite number", given, IN_CODE)
        if kind is not dict:
            return given
        name = next((name for name in KINDS if name in given), None)
        if name is None:
            self.misfit(place, given)
        if name not in ("layer", "object") and len(given) > 1:
            self.misfit(place, given)
        return getattr(self, f"read_{name}")(given, place, depth + 1)

    def misfit(self, place: str, got: Any) -> NoReturn:
        refuse("a part of the network is described in a way that is not known", place, WRITTEN, complaint(got), IN_CODE)

    # --- one for each kind

    def read_unsaved(self, given: Any, place: str, depth: int) -> NoReturn:
        refuse(
            "the network was saved without one of its arguments, which no file can hold",
            place,
            "numbers, texts, lists, arrays, layers, and functions and objects that are registered",
            complaint(given["unsaved"]),
            IN_CODE,
        )

    def read_float(self, given: Any, place: str, depth: int) -> float:
        if given["float"] not in ("inf", "-inf", "nan"):
            self.misfit(place, given)
        return float(given["float"])

    def parts(self, given: Any, place: str, depth: int) -> list[Any]:
        (listed,) = given.values()
        if type(listed) is not list:
            self.misfit(place, given)
        return self.read(listed, place, depth)

    def read_tuple(self, given: Any, place: str, depth: int) -> tuple[Any, ...]:
        return tuple(self.parts(given, place, depth))

    def read_slice(self, given: Any, place: str, depth: int) -> slice:
        ends = self.parts(given, place, depth)
        return slice(*ends) if len(ends) == 3 else self.misfit(place, given)

    def read_dict(self, given: Any, place: str, depth: int) -> dict[Any, Any]:
        try:
            return dict(self.parts(given, place, depth))
        except (TypeError, ValueError):
            self.misfit(place, given)

    def read_scalar(self, given: Any, place: str, depth: int) -> Any:
        parts = self.parts(given, place, depth)
        if len(parts) != 2 or parts[0] not in NUMBERS or type(parts[1]) not in (bool, int, float):
            self.misfit(place, given)
        try:
            return np.dtype(parts[0]).type(parts[1])
        except (ValueError, OverflowError):
            self.misfit(place, given)

    def read_array(self, given: Any, place: str, depth: int) -> np.ndarray:
        name = given["array"]
        if type(name) is not str or not name.startswith(ARGUMENT) or name not in self.arrays:
            refuse(
                "an array is missing", place, f"arrays under names that begin with {ARGUMENT}", complaint(name), IN_CODE
            )
        array = self.arrays[name]
        if name in self.given:
            self.left -= array.size
        if self.left < 0:
            refuse("large arrays are given to many layers", place, "few such arguments", complaint(name), IN_CODE)
        self.given.add(name)
        return array

    def read_function(self, given: Any, place: str, depth: int) -> Any:
        return self.found(given["function"], FunctionType | type, "function", place)

    def read_initialiser(self, given: Any, place: str, depth: int) -> Forgotten:
        if type(given["initialiser"]) is not str:
            self.misfit(place, given)
        return Forgotten(given["initialiser"], place)

    def read_object(self, given: Any, place: str, depth: int) -> Any:
        kind = self.found(given["object"], type, "class", place)
        if issubclass(kind, Layer):
            self.misfit(place, given)
        return self.made(kind, given, place, depth)

    def read_layer(self, given: Any, place: str, depth: int) -> Layer:
        name, module = given["layer"], given.get("module")
        shown = name if isinstance(name, str) and name.isidentifier() and len(name) < 100 else complaint(name)
        place = f"{place}: {shown}" if place else shown
        if self.kinds is not None:
            kind = self.kinds[name, module]
        else:
            kind = self.found(name, type, "layer", place)
            if not issubclass(kind, Layer) or module not in (None, kind.__module__):
                self.unknown(name, f"layer of {complaint(module)}" if module else "layer", place)
        layer = self.made(kind, given, place, depth)
        if type(layer) is not kind:
            self.misfit(place, given)
        self.layers.append((layer, given))
        return layer

    # --- what they share

    def found(self, name: Any, wanted: Any, what: str, place: str) -> Any:
        """What is registered under that name."""
        thing = registry.find(name) if type(name) is str else None
        return thing if isinstance(thing, wanted) else self.unknown(name, what, place)

    def unknown(self, name: Any, what: str, place: str) -> NoReturn:
        refuse(
            f"the network has a {what} that is not known here",
            place,
            "what tinynn defines, or what is registered",
            complaint(name),
            "import the module that defines it, with @tinynn.register above it, then load; or " + IN_CODE,
        )

    def made(self, kind: Callable[..., Any], given: dict[str, Any], place: str, depth: int) -> Any:
        """What the constructor makes of the arguments."""
        args, kwargs = given.get("args", []), given.get("kwargs", {})
        known = {"layer", "object", "module", "args", "kwargs", "settings", "build", "after"}
        if type(args) is not list or type(kwargs) is not dict or given.keys() - known:
            self.misfit(place, given)
        args = [self.read(arg, f"{place}, argument {i}", depth) for i, arg in enumerate(args)]
        kwargs = {key: self.read(arg, f"{place}, argument {key}", depth) for key, arg in kwargs.items()}
        if len(kwargs) * sum(len(arg) for arg in kwargs.values() if isinstance(arg, tuple | list)) > PAIRS:
            refuse(
                "a graph is too large", place, "fewer nodes, or fewer that they read", f"{len(kwargs)} nodes", IN_CODE
            )
        try:
            return kind(*args, **kwargs)
        except Exception as error:
            refuse(
                "the constructor refuses the arguments", place, "those of net.save", complaint(error), IN_CODE, error
            )


def refuse(what: str, place: str, expected: str, got: object, fix: str, cause: BaseException | None = None) -> NoReturn:
    """Errors: DataError that names the place."""
    place = place if len(place) < 1000 else f"{place[:300]} ... {place[-600:]}"
    raise DataError(what, where=place or "the network", expected=expected, got=got, fix=fix) from cause


def complaint(got: Any) -> str:
    """A value or an error in few words, whatever it is."""
    try:
        shown = f"{type(got).__name__}: {got}".splitlines()[0] if isinstance(got, BaseException) else repr(got)
    except Exception:
        shown = type(got).__name__
    return shown if len(shown) <= 200 else shown[:197] + "..."
