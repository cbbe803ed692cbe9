"""A network as text and as a picture: the table of its layers, the diagram of their wiring."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

from tinynn.errors import ConfigurationError, MissingExtraError

__all__ = ["draw", "table"]

DRAWN_BY_GRAPHVIZ = (".svg", ".png", ".pdf")


def table(net: Any) -> str:
    """The layers with their output shapes and numbers of parameters; where there is a graph, with what they read."""
    rows = [("layer", "", "reads", "output", "parameters"), *table_rows(net)]
    shown = [0, 1, 2, 3, 4] if any(row[2] for row in rows[1:]) else [0, 1, 3, 4]
    widths = {i: max(len(row[i]) for row in rows) for i in shown}
    lines = []
    for row in rows:
        cells = [f"{row[i]:>{widths[i]}}" if i == 4 else f"{row[i]:<{widths[i]}}" for i in shown]
        lines.append("  ".join(cells).rstrip())
    total = sum(math.prod(view.shape) for view in net.storage.parameters.values())
    inputs = [f"{name} {shape}" for name, shape in zip(net.input_names, net.input_shapes, strict=True)]
    given = f"input {net.input_shapes[0]}" if len(inputs) == 1 else f"inputs {', '.join(inputs)}"
    products = "" if net.ops.precision == "float32" else f", products in {net.ops.precision}"
    lines.append(f"{total:,} parameters, {net.dtype}{products}, {net.ops.name}, {given}")
    return "\n".join(lines)


def table_rows(net: Any) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for name, layer in net._built().children.items():
        reads = net.reads(name) if net.is_graph else ()
        for path, part in layer.walk() if not is_network(layer) else [(layer._built().path, layer)]:
            if is_network(part) and not reads:
                continue
            site = part._built()
            count = sum(math.prod(d.shape) for d in site.declared.values() if d.trained)
            outer = part is layer
            shown = f"{type(part).__name__}:" if is_network(part) else repr(part)
            number = "" if is_network(part) else f"{count:,}"
            rows.append((path, shown, ", ".join(reads) if outer else "", str(site.output), number))
        if is_network(layer):
            rows += table_rows(layer)
    return rows


def is_network(layer: Any) -> bool:
    return hasattr(layer, "run_forward")


@dataclass
class Diagram:
    """Boxes, arrows between them, and which boxes belong together; boxes are numbered as they come."""

    labels: list[str] = field(default_factory=list)
    inputs: set[int] = field(default_factory=set)
    arrows: list[tuple[int, int]] = field(default_factory=list)

    def box(self, label: str, members: list[Any]) -> int:
        self.labels.append(label)
        members.append(len(self.labels) - 1)
        return members[-1]


def diagram(net: Any) -> tuple[Diagram, list[Any]]:
    """The diagram, and its boxes as a tree: numbers, and (title, members) for networks inside the network."""
    picture, members = Diagram(), []
    sources = {}
    for name, shape in zip(net.input_names, net.input_shapes, strict=True):
        sources[name] = picture.box(f"{name} {shape}", members)
        picture.inputs.add(sources[name])
    for name in net.target_names[: len(net.target_names) - net.optional_targets]:
        sources[name] = picture.box(name, members)
        picture.inputs.add(sources[name])
    connect(picture, net, sources, members)
    return picture, members


def connect(picture: Diagram, net: Any, sources: dict[str, int], members: list[Any]) -> int:
    """Draws the layers of a network whose inputs come from these boxes; returns the box of its (last) output."""
    ends, last = dict(sources), -1
    for name, layer in net._built().children.items():
        reads = [ends[read] for read in net.reads(name) if read in ends]
        if is_network(layer):
            inner: list[Any] = []
            members.append((f"{name}: {type(layer).__name__}", inner))
            last = connect(picture, layer, dict(zip(layer.input_names, reads, strict=True)), inner)
        else:
            last = picture.box(f"{name}: {layer!r}\n{layer._built().output}", members)
            picture.arrows += [(read, last) for read in reads]
        ends[name] = last
    return last


def draw(net: Any, path: str | os.PathLike[str] | None) -> str:
    """What `Network.plot` does and returns."""
    picture, members = diagram(net)
    text = mermaid(picture, members)
    if path is None:
        return text
    from pathlib import Path  # here and below, not at the top: files take 8 ms to import

    kind = Path(path).suffix.lower()
    if kind not in (*DRAWN_BY_GRAPHVIZ, ".mmd"):
        raise ConfigurationError(
            "a picture of an unknown kind",
            where=f"plot({os.fspath(path)!r})",
            expected="a file ending in .svg, .png, .pdf or .mmd",
            got=f"the ending {kind!r}",
            fix='net.plot("net.svg"), or print(net.plot()) for Mermaid text',
        )
    data = text.encode() if kind == ".mmd" else by_graphviz(picture, members, kind)
    from tinynn.data.files import make_folder, written_atomically

    make_folder(Path(path).parent)
    with written_atomically(path) as file:
        file.write(data)
    return text


def mermaid(picture: Diagram, members: list[Any]) -> str:
    lines = ["flowchart TD"]

    def write(members: list[Any], indent: str) -> None:
        for i, member in enumerate(members):
            if isinstance(member, int):
                label = picture.labels[member].replace('"', "'").replace("<", "&lt;").replace("\n", "<br>")
                left, right = ("([", "])") if member in picture.inputs else ("[", "]")
                lines.append(f'{indent}n{member}{left}"{label}"{right}')
            else:
                title, inner = member
                lines.append(f'{indent}subgraph g{len(lines)}_{i} ["{title}"]')
                write(inner, indent + "  ")
                lines.append(f"{indent}end")

    write(members, "  ")
    return "\n".join([*lines, *(f"  n{a} --> n{b}" for a, b in picture.arrows)])


def by_graphviz(picture: Diagram, members: list[Any], kind: str) -> bytes:
    """Errors: MissingExtraError, ConfigurationError."""
    try:
        import graphviz
    except ImportError:
        raise MissingExtraError("graphviz", extra="plot", purpose=f"plot to a {kind} file") from None

    def fill(graph: Any, members: list[Any]) -> None:
        for i, member in enumerate(members):
            if isinstance(member, int):
                shape = "ellipse" if member in picture.inputs else "box"
                graph.node(f"n{member}", graphviz.escape(picture.labels[member]), shape=shape, fontname="sans-serif")
            else:
                title, inner = member
                with graph.subgraph(name=f"cluster_{min_box(inner)}_{i}") as cluster:
                    cluster.attr(label=graphviz.escape(title), fontname="sans-serif")
                    fill(cluster, inner)

    graph = graphviz.Digraph()
    fill(graph, members)
    for a, b in picture.arrows:
        graph.edge(f"n{a}", f"n{b}")
    try:
        return graph.pipe(format=kind[1:])
    except graphviz.ExecutableNotFound as error:
        raise ConfigurationError(
            "the program that draws is not installed",
            where=f"plot to a {kind} file",
            expected="graphviz' `dot` on the PATH",
            got=str(error),
            fix="install graphviz with the system's package manager, or print(net.plot()) for Mermaid text",
        ) from None


def min_box(members: list[Any]) -> int:
    return min(member if isinstance(member, int) else min_box(member[1]) for member in members)
