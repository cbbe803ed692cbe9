"""A training step as a table: for the terminal, for a notebook, as a dictionary."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

from tinynn.layer import Shape

__all__ = ["Explanation", "LayerStep", "ParameterStep"]


@dataclasses.dataclass(frozen=True)
class ParameterStep:
    """A parameter in one step: its name and shape, and the norms of itself, its gradient, and the optimizer's step.

    `step` is None without an optimizer; `decay`: whether L2 acts on it, as it does on weights.
    """

    name: str
    shape: Shape
    norm: float
    gradient: float
    step: float | None
    decay: bool

    @property
    def ratio(self) -> float | None:
        """|step| / |W|, about 1e-3 where learning goes well; None where there is none."""
        return None if self.step is None or not self.norm else self.step / self.norm


@dataclasses.dataclass(frozen=True)
class LayerStep:
    """A layer in one step; shapes are those of one row.

    `minimum`, `mean`, `maximum`: of the output. `dy`, `dx`: the norms of the gradient at its output and of that which
    it hands down; None where none was asked for. `units`, `dead`, `saturated`: of how many outputs how many are 0 for
    every row, and how many sigmoids or tanh are flat for every row; None where that means nothing. An output of an
    image is a channel.
    """

    path: str
    layer: str
    formula: str
    inputs: tuple[Shape, ...]
    output: Shape
    parameters: int
    minimum: float
    mean: float
    maximum: float
    dy: float | None
    dx: float | None
    units: int
    dead: int | None
    saturated: int | None
    arrays: tuple[ParameterStep, ...]

    @property
    def shapes(self) -> str:
        """From which shape to which."""
        return f"{' '.join(map(str, self.inputs))} -> {self.output}"

    @property
    def idle(self) -> str:
        """How many units are dead or flat, in words."""
        found = [f"{self.dead}" if self.dead else "", f"{self.saturated} flat" if self.saturated else ""]
        return f"{' + '.join(filter(None, found))} of {self.units}" if any(found) else ""


HEADS = ("layer", "", "shapes", "parameters", "min", "mean", "max", "|dy|", "|dx|", "dead")
ARRAY_HEADS = ("parameter", "shape", "|W|", "|dW|", "|step|", "|step|/|W|")
FINE = "Nothing is plainly wrong."


@dataclasses.dataclass(frozen=True)
class Explanation:
    """One training step: print it for a table; in a notebook it is shown as one.

    `rows`: of the batch. `loss`: before the step. `optimizer`: as it prints itself, None without one. `layers`: from
    the input to the loss. `advice`: what is plainly wrong, a line each.
    """

    rows: int
    loss: float
    optimizer: str | None
    layers: tuple[LayerStep, ...]
    advice: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the step was."""
        by = "" if self.optimizer is None else f", a step of {self.optimizer}"
        return f"{self.rows} {'row' if self.rows == 1 else 'rows'}, loss {self.loss:.4g}{by}"

    def as_dict(self) -> dict[str, Any]:
        """All numbers by name, ready for JSON."""
        found = dataclasses.asdict(self)
        for layer, own in zip(found["layers"], self.layers, strict=True):
            for array, part in zip(layer["arrays"], own.arrays, strict=True):
                array["ratio"] = part.ratio
        return found

    def __str__(self) -> str:
        lines = [self.title, ""]
        rows = [HEADS, *((path, short(name, 40), *rest) for path, name, *rest in map(cells, self.layers))]
        table = aligned(rows, left=3)
        lines.append(table[0])
        indent = " " * (2 + max(len(row[0]) for row in rows))
        for layer, line in zip(self.layers, table[1:], strict=True):
            lines += [line, f"{indent}{short(layer.formula)}".rstrip()]
        arrays = [array_cells(part) for layer in self.layers for part in layer.arrays]
        if arrays:
            lines += ["", *aligned([ARRAY_HEADS, *arrays], left=2)]
        lines += ["", *(f"! {line}" for line in self.advice)] if self.advice else ["", FINE]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The tables for a notebook, in its own colours."""
        rows = []
        for layer in self.layers:
            path, name, *numbers = cells(layer)
            first = f"{html.escape(path)}&ensp;<b>{html.escape(name)}</b><br><i>{html.escape(layer.formula)}</i>"
            rows.append(html_row("td", first, *map(html.escape, numbers), left=2))
        parts = [f"<p>{html.escape(self.title)}</p>", html_table(html_row("th", HEADS[0], *HEADS[2:], left=2), rows)]
        arrays = [array_cells(part) for layer in self.layers for part in layer.arrays]
        if arrays:
            shown = [html_row("td", *map(html.escape, row), left=2) for row in arrays]
            parts.append(html_table(html_row("th", *ARRAY_HEADS, left=2), shown))
        advice = [f"<li>{html.escape(line)}</li>" for line in self.advice]
        parts.append(f"<ul>{''.join(advice)}</ul>" if advice else f"<p>{FINE}</p>")
        return f'<div class="tinynn-explanation">{"".join(parts)}</div>'


def cells(layer: LayerStep) -> tuple[str, ...]:
    """A layer's line."""
    numbers = (layer.minimum, layer.mean, layer.maximum, layer.dy, layer.dx)
    counted = f"{layer.parameters:,}" if layer.parameters else ""
    return layer.path, layer.layer, layer.shapes, counted, *map(number, numbers), layer.idle


def array_cells(part: ParameterStep) -> tuple[str, ...]:
    """A parameter's line."""
    return part.name, str(part.shape), *map(number, (part.norm, part.gradient, part.step, part.ratio))


def number(x: float | None) -> str:
    """Three digits; nothing for None."""
    return "" if x is None else f"{x:.3g}"


def short(text: str, most: int = 100) -> str:
    """As much as a terminal has room for."""
    return text if len(text) <= most else f"{text[: most - 3].rstrip()}..."


def aligned(rows: list[tuple[str, ...]], left: int) -> list[str]:
    """Lines of equal columns, the first `left` of them flush left, numbers flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if i < left else ">" for i in range(len(widths))]
    lines = ("  ".join(map("{:{}{}}".format, row, sides, widths)) for row in rows)
    return [line.rstrip() for line in lines]


def html_row(kind: str, *row: str, left: int) -> str:
    """A line of a table, of cells that are HTML already."""
    shown = []
    for i, cell in enumerate(row):
        look = f"text-align:{'left' if i < left else 'right'}" + (";white-space:nowrap" if i else "")
        shown.append(f'<{kind} style="{look}">{cell}</{kind}>')
    return f"<tr>{''.join(shown)}</tr>"


def html_table(head: str, rows: list[str]) -> str:
    """A table that scrolls sideways where it is too wide."""
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div style="overflow-x:auto;margin-bottom:0.8em">{table}</div>'
