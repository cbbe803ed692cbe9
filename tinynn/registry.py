"""The names under which files know classes and functions: nothing is ever imported because a file says so."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, overload

from tinynn.errors import ConfigurationError

__all__ = ["find", "name_of", "register", "register_all"]

T = TypeVar("T", bound=Callable[..., Any])

_by_name: dict[str, Any] = {}
_names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


@overload
def register(thing: T, /) -> T: ...
@overload
def register(*, name: str | None = None) -> Callable[[T], T]: ...
def register(thing: Any = None, /, *, name: str | None = None) -> Any:
    """Makes a class or function of your own known to `tinynn.load`: write `@tinynn.register` above it.

        @tinynn.register
        class Gain(Layer): ...

    Networks that contain it are saved with its name, and loaded wherever the module that defines it has been imported.
    `@tinynn.register(name="mine.Gain")` gives it another name than its own. It works for layers, for initialisers, and
    for classes whose objects are arguments of layers and are made again from their attributes.

    Errors: ConfigurationError for a name that another class or function has; defining the same one again, as in a
    notebook, replaces it.
    """
    if thing is None:
        return lambda thing: register_as(thing, name)
    return register_as(thing, name)


def register_as(thing: Any, name: str | None) -> Any:
    """The class or function itself, known under that name or its own."""
    if not isinstance(thing, type | FunctionType):
        raise ConfigurationError(
            "only classes and functions can be registered",
            where="tinynn.register",
            expected="a class or a function",
            got=repr(thing),
            fix='@tinynn.register above it; with a name, @tinynn.register(name="...")',
        )
    name = thing.__name__ if name is None else name
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 200:
        raise ConfigurationError(
            f"{thing.__qualname__} cannot be registered under this name",
            where="tinynn.register",
            expected="a text of 1 to 200 characters",
            got=repr(name),
            fix=f'@tinynn.register(name="mine.{thing.__name__}")',
        )
    other = _by_name.get(name)
    if other is not None and home(other) != home(thing):
        raise ConfigurationError(
            f"the name {name!r} belongs to something else",
            where=f"tinynn.register, {home(thing)}",
            expected="a name that nothing else has",
            got=f"the name of {home(other)}",
            fix=f'@tinynn.register(name="mine.{thing.__name__}")',
        )
    _by_name[name] = thing
    _names[thing] = name
    return thing


def home(thing: Any) -> str:
    """Where it is defined, which tells the same class, defined again, from another of its name."""
    return f"{thing.__module__}.{thing.__qualname__}"


def register_all(*modules: Any) -> None:
    """All classes and functions that these modules list."""
    for module in modules:
        for name in module.__all__:
            if isinstance(getattr(module, name), type | FunctionType):
                register_as(getattr(module, name), name)


def find(name: str) -> Any:
    """What was registered under that name; None for nothing."""
    return _by_name.get(name)


def name_of(thing: Any) -> str | None:
    """The name under which a class or function was registered, if it was."""
    return _names.get(thing) if isinstance(thing, type | FunctionType) else None
