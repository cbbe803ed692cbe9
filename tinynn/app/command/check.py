"""`tinynn check my_layers:MyLayer`: every rule asked of a layer in somebody's file, for people and as a score."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tinynn.app.command.output import add_json, beside_json, shape, write_json
from tinynn.backend import get_backend
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer, Shape

__all__ = ["add"]

EXAMPLE = "tinynn check my_layers:MyLayer, or tinynn check path/to/my_layers.py:MyLayer"


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "check",
        help="does a layer keep every rule?",
        description="Checks a layer of your own: gradients, memory, batches, threads, copies, files.",
        epilog="Example: tinynn check my_layers.py:MyLayer --shape 4\n"
        "Exit code: 0 all checks passed, 1 some failed, 2 the layer could not be checked.",
    )
    parser.add_argument("layer", metavar="MODULE:CLASS", help="a module in this folder, or a path to a .py file")
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        help="of one example: 4 or 3x8x8, () for labels; once for each input; usual shapes are tried without it",
    )
    parser.add_argument(
        "--arg", action="append", default=[], metavar="JSON", help="a constructor argument as JSON; may be repeated"
    )
    parser.add_argument(
        "--kwargs", default="{}", metavar="JSON", help="""constructor arguments by name as JSON: '{"M": 3}'"""
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the numbers that are drawn (default 0)")
    parser.add_argument("--backend", default="numpy", choices=("numpy", "cupy"), help="cupy: on a GPU")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Checks the layer and tells the result.

    Errors: ConfigurationError for what cannot be found, built or read.
    """
    from tinynn.testing import check_layer

    with beside_json(options):  # what the layer's file prints is not to stand within the JSON, either
        shapes = tuple(shape(text) for text in options.shape)
        kind = find(options.layer)
        layer = construct(kind, [as_json(text, "--arg") for text in options.arg], as_json(options.kwargs, "--kwargs"))
        refuse_shapes(layer, shapes)
        report = check_layer(layer, *shapes, seed=options.seed, backend=options.backend, raises=False)
        print(report)
    write_json(options, report.as_dict())
    return 0 if report.ok else 1


def refuse_shapes(layer: Layer, shapes: tuple[Shape, ...]) -> None:
    """A layer that takes other shapes but not these was asked the wrong thing; one that takes none is to be checked.

    Errors: ConfigurationError.
    """
    from tinynn.testing.subject import refusal, usual_shapes

    reason = refusal(layer, shapes, get_backend("numpy")) if shapes else None
    if reason is None:
        return
    usual = usual_shapes(layer, get_backend("numpy"))
    if usual:
        fix = " ".join(f"--shape {'x'.join(map(str, sizes)) or '()'}" for sizes in usual)
        what = f"{layer!r} does not take this --shape: {reason.what}"
        raise ConfigurationError(what, got=" and ".join(map(str, shapes)), fix=f"for example {fix}")


def as_json(text: str, option: str) -> Any:
    """The value of an option.

    Errors: ConfigurationError.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} is no JSON: {error}", got=repr(text), fix=f"""{option} '{{"M": 3}}'"""
        ) from error


def find(name: str) -> type[Layer]:
    """The class of that name: `module:Class`, or `path/to/file.py:Class`.

    Errors: ConfigurationError.
    """
    place, colon, class_name = name.rpartition(":")
    if not colon or not place or not class_name:
        raise ConfigurationError("which class of which module?", got=repr(name), fix=EXAMPLE)
    module = load(place)
    kind = getattr(module, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, Layer) and kind is not Layer):
        layers = [
            other
            for other, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, Layer) and value.__module__ == module.__name__
        ]
        raise ConfigurationError(
            f"{place} has no layer {class_name}",
            got="nothing of that name"
            if kind is None
            else f"a {type(kind).__name__} that is no subclass of tinynn.Layer",
            fix=f"choose one of: {', '.join(layers)}" if layers else "class MyLayer(tinynn.Layer): ...",
        )
    return kind


def load(place: str) -> ModuleType:
    """The module of that name in this folder, or that file.

    Errors: ConfigurationError where it is not there, or cannot be imported.
    """
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise ConfigurationError("there is no such file", got=place, fix=EXAMPLE)
    folder = str(path.resolve().parent if is_file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # for what the file itself imports, too
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # where pickle looks for the class
        spec.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == place:
            raise ConfigurationError("there is no such module in this folder", got=place, fix=EXAMPLE) from error
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise ConfigurationError(
            f"{place} cannot be imported", got=f"{type(error).__name__}: {error}{line}", fix=f"python {place}"
        ) from error


def construct(kind: type[Layer], args: list[Any], kwargs: Any) -> Layer:
    """The layer with these settings.

    Errors: ConfigurationError with what the constructor said.
    """
    if not isinstance(kwargs, dict):
        raise ConfigurationError("--kwargs is no JSON object", got=repr(kwargs), fix="""--kwargs '{"M": 3}'""")
    try:
        return kind(*args, **kwargs)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"{kind.__name__} cannot be made with these settings: {str(error).splitlines()[0] if str(error) else ''}",
            got=f"{type(error).__name__}",
            fix="""tinynn check ... --arg 3, or --kwargs '{"M": 3}'""",
        ) from error
