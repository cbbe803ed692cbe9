"""`tinynn export model.npz --html digits.html`: a network as a web page, for ONNX runtimes, for readers of tensors."""

from __future__ import annotations

import argparse
from typing import Any

from tinynn.app.command.output import add_json, add_model, beside_json, write_json
from tinynn.errors import ConfigurationError

__all__ = ["add"]


def add(commands: Any) -> None:
    """Adds the parser of this command."""
    parser = commands.add_parser(
        "export",
        help="write a network as a web page, as ONNX or as safetensors",
        description="Writes a saved network in a form that other programs read.",
        epilog="Example: tinynn export model.npz --html digits.html\n"
        "Exit code: 0 the file is written, 2 it could not be.",
    )
    add_model(parser)
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--html", metavar="FILE", help="a page on which to draw a digit; it needs no server and no net")
    form.add_argument("--onnx", metavar="FILE", help="for ONNX Runtime and others; needs the extra onnx")
    form.add_argument("--safetensors", metavar="FILE", help="parameters by name; needs the extra safetensors")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the file.

    Errors: TinynnError for a model that cannot be read, or that this form cannot hold.
    """
    from tinynn.network.loading import load

    form, path = next((form, path) for form in FORMS if (path := getattr(options, form)) is not None)
    if form == "safetensors" and not path.endswith(".safetensors"):
        raise ConfigurationError(
            "the name decides what kind of file it is", got=path, fix=f"--safetensors {path}.safetensors"
        )
    net = load(options.model)
    FORMS[form](net, path)
    with beside_json(options):
        print(f"{path}: {options.model} as {form}")
    write_json(options, {"model": options.model, "form": form, "file": path})
    return 0


def html(net: Any, path: str) -> None:
    from tinynn.app.page import export_html

    export_html(net, path)


def onnx(net: Any, path: str) -> None:
    from tinynn.onnx import export

    export(net, path)


def safetensors(net: Any, path: str) -> None:
    net.save(path)


FORMS = {"html": html, "onnx": onnx, "safetensors": safetensors}
