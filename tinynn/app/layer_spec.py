"""Layers as a short text, and back: "conv:8:3 relu maxpool:2 300 relu dropout:0.2".

Words between spaces; each is the name of a layer in small letters, without 2D, and its arguments behind colons, in the
order of the constructor or by name: `conv:8:3:padding=same`. A number alone is an Affine of so many outputs. A value is
a number, a size such as 3x5, true, false, none, same, or the name of an initialiser.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from tinynn import init, layers, losses, optim
from tinynn.data.target_column import NUMBER
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer

__all__ = ["LAYERS", "LOSSES", "OPTIMIZERS", "layers_of", "made", "spec_of", "usage"]

# What needs several inputs, or a layer as an argument, or ids as inputs, has no place in a chain that is written so.
ELSEWHERE = {"Add", "Multiply", "Concat", "Residual", "Embedding"}


def word_for(kind: type) -> str:
    return kind.__name__.lower().removesuffix("2d")


def by_word(module: Any, base: type, *others: str) -> dict[str, type]:
    """The classes of a module that derive from the base, by the words for them."""
    found = [getattr(module, name) for name in module.__all__ if name not in others]
    return {word_for(kind): kind for kind in found if isinstance(kind, type) and issubclass(kind, base)}


LAYERS = by_word(layers, Layer, *ELSEWHERE)
LOSSES = by_word(losses, Layer, "Loss", "ElementwiseLoss")
OPTIMIZERS = by_word(optim, optim.Optimizer, "Optimizer")

WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
SIZES = re.compile(r"-?\d+(x-?\d+)+", re.ASCII)
NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII)
TEXTS = ("same",)  # that arguments take
CONSTANTS = {"true": True, "false": False, "none": None}
INITIALISERS = {name: getattr(init, name) for name in init.__all__ if inspect.isfunction(getattr(init, name))}


def layers_of(spec: str) -> list[Layer]:
    """The layers of a spec, in their order, not built yet; none for an empty one.

    Errors: ConfigurationError that names the word, and what there is.
    """
    return [made(word, LAYERS, "layer", f"word {number} of {spec!r}") for number, word in enumerate(spec.split(), 1)]


def made(word: str, kinds: Mapping[str, type], what: str, where: str, **more: Any) -> Any:
    """The object that a word describes. `kinds`: those that there are; `what` they are called; `more`: arguments.

    Errors: ConfigurationError.
    """
    name, *given = word.split(":")
    if what == "layer" and WHOLE.fullmatch(name):
        name, given = "affine", [name, *given]
    kind = kinds.get(name.lower())
    if kind is None:
        close = difflib.get_close_matches(name.lower(), kinds, n=1)
        guess = f"did you mean {close[0]}? There are: " if close else "one of: "
        raise ConfigurationError(
            f"there is no {what} {name!r}",
            where=where,
            got=word,
            fix=guess + ", ".join(kinds) + (", and numbers of units" if what == "layer" else ""),
        )
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in given:
        match = NAMED.fullmatch(text)
        key, value = match.groups() if match else (None, text)
        if not value or (key is None and kwargs) or key in kwargs:
            problem = "twice" if key in kwargs else "behind one with a name" if value else "without a value"
            raise ConfigurationError(
                f"the {what} {word!r} has an argument {problem}", where=where, got=repr(text), fix=usage(kind)
            )
        meant = value_of(value)
        if isinstance(meant, str) and meant not in TEXTS:
            values = ", ".join(["a number", "a size such as 3x5", *CONSTANTS, *TEXTS, *INITIALISERS])
            raise ConfigurationError(f"there is no value {value!r}", where=f"{where}, {word!r}", got=value, fix=values)
        if key is None:
            args.append(meant)
        else:
            kwargs[key] = meant
    try:
        signature(kind).bind(*args, **kwargs, **more)
        return kind(*args, **kwargs, **more)
    except TypeError as error:
        what = f"the {what} {word!r} takes other arguments: {error}"
        raise ConfigurationError(what, where=where, got=word, fix=usage(kind)) from None
    except ConfigurationError as error:
        raise ConfigurationError(
            error.what, where=f"{where}, {word!r}", expected=error.expected, got=error.got, fix=usage(kind)
        ) from None


def value_of(text: str) -> Any:
    """The value of an argument."""
    if WHOLE.fullmatch(text):
        return int(text)
    if SIZES.fullmatch(text):
        return tuple(map(int, text.split("x")))
    if NUMBER.fullmatch(text):
        return float(text)
    return CONSTANTS.get(text, INITIALISERS.get(text, text))


def signature(kind: type) -> inspect.Signature:
    """What the constructor takes: nothing where the class has none of its own."""
    return inspect.Signature() if kind.__init__ is object.__init__ else inspect.signature(kind)


def usage(kind: type) -> str:
    """How a word of this kind is written: "conv:F:kernel_size[:stride=1]..."."""
    word = word_for(kind)
    for name, setting in signature(kind).parameters.items():
        default = setting.default
        word += f":{name}" if default is setting.empty else f"[:{name}={text_of(default)}]"
    return word


def text_of(value: Any) -> str:
    """A value as the spec has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return getattr(value, "__name__", None) or str(value)


def spec_of(made: list[Layer]) -> str:
    """The spec of layers that `layers_of` made."""
    words = []
    for layer in made:
        args, kwargs = layer._arguments
        given = [*map(text_of, args), *(f"{name}={text_of(value)}" for name, value in kwargs.items())]
        name = word_for(type(layer))
        words.append(":".join(given if name == "affine" and args else [name, *given]))
    return " ".join(words)
