"""Writes docs/layers.md, the tables of all layers, losses and optimizers, from their docstrings: `make docs`."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import tinynn
from tinynn import Optimizer
from tinynn.layer import Layer, describe

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).with_name("layers.md")
HEAD = """# Layers, losses, optimizers

Generated from the docstrings by `make docs`; a test keeps it up to date. N is the number of rows of a batch, D that of
the features, C that of classes or channels; "any" shape is kept. `help(tinynn.ReLU)` says what else there is to know of
a layer: inference where it differs, initial values, what is refused, the source.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for package in (tinynn.layers, tinynn.losses):
        modules: dict[str, list[type[Layer]]] = {}
        for kind in (getattr(package, name) for name in package.__all__):
            if kind not in (tinynn.Loss, tinynn.ElementwiseLoss):  # to derive from
                modules.setdefault(kind.__module__, []).append(kind)
        for module in sorted(modules):
            title = (sys.modules[module].__doc__ or "").strip().splitlines()[0].rstrip(".")
            rows = [row(kind) for kind in sorted(modules[module], key=lambda kind: inspect.getsourcelines(kind)[1])]
            parts.append(
                "\n".join([f"## {title}", "", "| | formula | shapes | gradient |", "|---|---|---|---|", *rows])
            )
    kinds = [getattr(tinynn.optim, name) for name in tinynn.optim.__all__ if name != Optimizer.__name__]
    for title, wanted in (("Optimizers", True), ("Schedules: the learning rate as a function of the step", False)):
        rows = [
            f"| `{call(kind)}` | {fields(kind.__doc__)['']} |"
            for kind in kinds
            if issubclass(kind, Optimizer) == wanted
        ]
        parts.append("\n".join([f"## {title}", "", "| | formula |", "|---|---|", *rows]))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def row(kind: type[Layer]) -> str:
    """One layer: its call, its formula, and what its docstring says of shapes and of the backward pass."""
    said = fields(inspect.getdoc(kind) or "")
    cells = [f"`{call(kind)}`", said[""], said.get("Shapes", "any"), said.get("Backward", "")]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def call(kind: type) -> str:
    """`Affine(M, W=he, b=zeros)`: how it is made, with its defaults."""
    parameters = inspect.signature(kind.__init__).parameters.values() if "__init__" in vars(kind) else ()
    shown = []
    for p in list(parameters)[1:]:
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={describe(p.default)}"
        shown.append(f"{star}{p.name}{default}")
    return f"{kind.__name__}({', '.join(shown)})"


def fields(doc: str) -> dict[str, str]:
    """A docstring's first paragraph, under "", and its fields by name: Shapes, Backward, Source and others."""
    found, name = {"": ""}, ""
    for line in inspect.cleandoc(doc).splitlines():
        start = re.match(r"([A-Z][a-z]+):\s+(.*)", line)
        if start:
            name, line = start.groups()
            found[name] = ""
        elif name and line and not line.startswith(" "):
            name = "text"  # a paragraph behind the fields
        if not line.strip() and not name:
            name = "text"
        found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: text.rstrip(".") if name in ("", "Shapes", "Backward") else text for name, text in found.items()}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {page().count(chr(10) + '| `')} rows")
