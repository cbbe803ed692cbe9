"""Which node of a graph reads what: settled, and refused where it cannot work, before any shape is known."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from tinynn.errors import ConfigurationError
from tinynn.layer import Layer
from tinynn.losses import Loss

__all__ = ["Node", "Wiring"]

EXAMPLE = 'Graph(h=(Affine(64), "x"), y=(ReLU(), "h"))'


class Node(NamedTuple):
    """A layer of a graph and the names of what it reads."""

    name: str
    layer: Layer
    reads: tuple[str, ...]

    @property
    def is_loss(self) -> bool:
        return isinstance(self.layer, Loss)

    @property
    def learns_from(self) -> tuple[str, ...]:
        """What a gradient flows to: of a loss the scores, while targets and weights are constants."""
        return self.reads[:1] if self.is_loss else self.reads


class Wiring:
    """The nodes in order, and what follows from them.

    `inputs`, `targets`: the names that no node has, targets being those that losses alone read, and not as scores.
    `outputs`: what comes out. `reached`: the nodes on which an output depends otherwise than as a target. `inference`:
    the nodes that prediction needs. `loss`: the node that is the only output, if that is a loss.
    Errors: ConfigurationError.
    """

    def __init__(self, inputs: tuple[str, ...], outputs: tuple[str, ...], nodes: dict[str, Any]) -> None:
        if not nodes:
            refuse("a Graph without nodes", "Graph()", "at least one node", "none", EXAMPLE)
        self.nodes: list[Node] = []
        for name, given in nodes.items():
            self.nodes.append(node(name, given, [*nodes][len(self.nodes) :], self.nodes))
        self.by_name = {node.name: node for node in self.nodes}
        free = dict.fromkeys(read for node in self.nodes for read in node.reads if read not in self.by_name)
        values = {read for node in self.nodes for read in node.learns_from}
        self.targets = tuple(name for name in free if name not in values)
        self.inputs = names(inputs, tuple(name for name in free if name in values), "inputs")
        read = {read for node in self.nodes for read in node.reads}
        self.outputs = self.chosen(outputs) or tuple(name for name in self.by_name if name not in read)
        self.reached = self.above(self.outputs, targets_too=False)
        losses = [self.by_name[name] for name in self.outputs if name in self.by_name and self.by_name[name].is_loss]
        self.loss = losses[0] if losses and len(self.outputs) == 1 else None
        alive = self.above(self.outputs, targets_too=True)
        for part in self.nodes:
            if part.name not in alive:
                refuse(
                    "a node that no output depends on",
                    place(part),
                    f"every node to lead to one of the outputs {', '.join(self.outputs)}",
                    "a node that leads nowhere",
                    "take it out, or name it among the outputs",
                )
        wanted = [self.by_name[name].reads[0] if self.by_name[name] in losses else name for name in self.outputs]
        needed = self.above(tuple(wanted), targets_too=True)
        self.inference = [part for part in self.nodes if part.name in needed]

    def chosen(self, outputs: Any) -> tuple[str, ...]:
        """The outputs that were asked for, each of them a node."""
        outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        for name in outputs:
            if name not in self.by_name:
                refuse("an output that is no node", "Graph", f"one of {', '.join(self.by_name)}", repr(name), EXAMPLE)
        return tuple(dict.fromkeys(outputs))

    def above(self, names: tuple[str, ...], targets_too: bool) -> set[str]:
        """The nodes of these names and all that they read, directly or not."""
        found = set(names)
        for part in reversed(self.nodes):
            if part.name in found:
                found.update(part.reads if targets_too else part.learns_from)
        return found & self.by_name.keys()


def node(name: str, given: Any, below: list[str], above: list[Node]) -> Node:
    """One node, with what it reads checked; `below`: its own name and those of the nodes below it."""
    where = f"node {name!r}"
    if not name.isidentifier():
        refuse("a node's name is a Python name", where, "letters, digits and _", repr(name), EXAMPLE)
    if isinstance(given, Layer):
        refuse("a node that reads nothing", where, "a layer and what it reads", repr(given), f'{name}=({given!r}, "x")')
    if not isinstance(given, tuple | list) or not given or not isinstance(given[0], Layer):
        layer = given[0] if isinstance(given, tuple | list) and given else given
        fix = f"write {layer.__name__}(...), with parentheses" if isinstance(layer, type) else EXAMPLE
        refuse("a node is a layer and the names of what it reads", where, "(layer, name, ...)", repr(given), fix)
    layer, *reads = given
    where = f"node {name!r}: {layer!r}"
    if not reads or not all(isinstance(read, str) and read.isidentifier() for read in reads):
        wrong = ", ".join(map(repr, reads)) or "nothing"
        refuse("a node reads inputs and nodes, by name", where, "at least one name", wrong, EXAMPLE)
    for read in reads:
        if read in below:
            what = "itself" if read == name else f"{read!r}, which stands below it"
            fix = "name an input or a node above it" if read == name else f"write {read}=... before {name}=..."
            refuse(
                f"a node that reads {what}", where, "inputs and nodes above it, so that there is no circle", read, fix
            )
        for part in above:
            if part.name == read and part.is_loss:
                fix = "let it be an output: backward((1.0, 0.5), cache) weighs several losses"
                refuse(
                    "a loss gives one number, so no layer can read it", where, "rows to read", f"the loss {read}", fix
                )
    return Node(name, layer, tuple(reads))


def names(given: Any, found: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The names in the order that was asked for, or as they were found."""
    given = (given,) if isinstance(given, str) else tuple(given)
    if not given:
        return found
    if sorted(given) != sorted(found):
        fix = f"name them as they are read: {found!r}"
        refuse(
            f"the {what} are not those that the nodes read", "Graph", ", ".join(found), ", ".join(map(str, given)), fix
        )
    return given


def place(part: Node) -> str:
    return f"node {part.name!r}: {part.layer!r}"


def refuse(what: str, where: str, expected: str, got: str, fix: str) -> NoReturn:
    raise ConfigurationError(what, where=where, expected=expected, got=got, fix=fix)
