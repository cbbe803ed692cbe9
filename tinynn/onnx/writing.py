"""What an exported layer becomes: nodes, and arrays, by names that follow from the layer's place.

A writer is a function (layer, out, *xs) -> y: `xs` the names of the values that the layer reads, y that of its output.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from tinynn.errors import ConfigurationError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network.values import converted

__all__ = ["Drawn", "Out", "Writer", "writer", "writers"]

Writer = Callable[..., str]
F = TypeVar("F", bound=Writer)

# What a subclass must leave as it is, to be written like the class above it.
PASSES = ("predict", "forward", "run_predict", "wire")
LINKS = ("predict", "link")  # of a loss nothing else counts at inference

writers: dict[type[Layer], Writer] = {}


def writer(*kinds: type[Layer]) -> Callable[[F], F]:
    """Tells `export` how layers of a class of your own are written.

        @tinynn.onnx.writer(Gain)
        def write_gain(layer, out, x):
            return out.node("Mul", x, out.parameter("g"))

    The function gets the layer, which is built, an object that takes nodes and arrays, and the name of each value that
    the layer reads; it returns the name of its output. `out.node(operator, *names, **attributes)` adds a node and
    returns the name of what it gives, `out.parameter("g")` is that of a parameter or state, `out.constant(value)` of
    another array. All have the batch axis in front; `out.shapes` are those of one example.
    It holds for subclasses that compute nothing else. Of a loss it writes what the scores mean at inference.

    Errors: ConfigurationError for what is no class of layers, and for none.
    """
    for kind in kinds or (None,):
        if not (isinstance(kind, type) and issubclass(kind, Layer)):
            raise ConfigurationError(
                "a writer is for a class of layers",
                where="tinynn.onnx.writer",
                expected="a subclass of tinynn.Layer",
                got=repr(kind),
                fix="@tinynn.onnx.writer(Gain)",
            )

    def register(function: F) -> F:
        for kind in kinds:
            writers[kind] = function
        return function

    return register


def writer_of(layer: Layer) -> Writer | None:
    """The writer of the layer's class, or of one above it whose passes it has left as they are."""
    kind = type(layer)
    for above in kind.__mro__:
        if above in writers:
            passes = LINKS if issubclass(kind, Loss) else PASSES
            same = all(getattr(kind, name, None) is getattr(above, name, None) for name in passes)
            return writers[above] if same else None
    return None


@dataclass
class Drawn:
    """A node before it is put into ONNX's own form."""

    operator: str
    reads: list[str]
    gives: str
    attributes: dict[str, Any]
    name: str
    said: str


@dataclass
class Out:
    """What has been written so far, and the layer that is being written.

    `opset`: in which version of ONNX's operators. `dtype`: of parameters and of the values between the layers.
    `integers`: the names of values that are integers. `shapes`: of one example, of what the layer reads.
    """

    net: Any
    opset: int
    dtype: np.dtype
    nodes: list[Drawn] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    integers: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    at: Layer | None = None

    @property
    def layer_path(self) -> str:
        assert self.at is not None
        return self.at._built().path

    @property
    def shapes(self) -> tuple[Shape, ...]:
        assert self.at is not None
        return self.at._built().shapes

    def free(self, wish: str) -> str:
        """A name that nothing has yet."""
        name, i = wish, 1
        while name in self.taken:
            name, i = f"{wish}_{i}", i + 1
        self.taken.add(name)
        return name

    def node(self, operator: str, *names: str, **attributes: Any) -> str:
        """Adds a node that reads these values and gives one, whose name is returned; "" for one that is left out.

        Errors: ConfigurationError for what is no name of a value or an array.
        """
        for read in names:
            if not isinstance(read, str) or (read and read not in self.taken):
                raise ConfigurationError(
                    "a node reads values and arrays by their names",
                    where=f"{operator}, {self.at.where if self.at else 'the network'}",
                    expected="what the writer was given, or what out.node, out.parameter or out.constant gave",
                    got=repr(read),
                    fix="out.constant(0.5) for a number",
                )
        name = self.free(f"{self.layer_path}/{operator}")
        self.nodes.append(Drawn(operator, list(names), name, attributes, name, repr(self.at)))
        return name

    def parameter(self, name: str, shape: Shape | None = None) -> str:
        """The name of a parameter or state of the layer; in another shape, where one is given."""
        full = f"{self.layer_path}.{name}" if self.layer_path else name
        try:
            array = converted(self.net.ops, getattr(self.at, name), self.dtype)
        except OverflowError as error:
            raise ConfigurationError(
                f"the parameter {full} holds a number that {self.dtype} has not",
                where="tinynn.onnx.export",
                expected=f"numbers within the range of {self.dtype}",
                got=str(error),
                fix='export(net, path, dtype="float64"), which fewer runtimes read',
            ) from None
        self.taken.add(full)
        self.arrays[full] = array if shape is None else array.reshape(shape)
        return full

    def constant(self, value: Any, dtype: Any = None, name: str = "constant") -> str:
        """The name of an array that belongs to no parameter; of the file's dtype unless told otherwise."""
        name = self.free(f"{self.layer_path}/{name}")
        self.arrays[name] = np.asarray(value, self.dtype if dtype is None else dtype)
        return name

    def floats(self, x: str) -> str:
        """x, or what it becomes in the file's dtype if it is made of integers."""
        if x not in self.integers:
            return x
        return self.node("Cast", x, to=self.tensor_type(self.dtype))

    def tensor_type(self, dtype: Any) -> int:
        """ONNX's number of a dtype."""
        import onnx

        return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def layer(self, layer: Layer, *xs: str) -> str:
        """Writes a layer that reads these values; returns the name of its output.

        Errors: ConfigurationError for a layer of which nobody said how it is written.
        """
        write = writer_of(layer)
        if write is None:
            kind = type(layer).__name__
            raise ConfigurationError(
                f"nothing says which operators of ONNX {kind} becomes",
                where=layer.where,
                expected="a layer of tinynn's own, or one that has a writer",
                got=f"a {kind}",
                fix=f"@tinynn.onnx.writer({kind}) above a function (layer, out, x): help(tinynn.onnx.writer)",
            )
        first = len(self.nodes)
        with self.writing(layer):
            y = write(layer, self, *xs)
        if not isinstance(y, str) or y not in self.taken:
            raise ConfigurationError(
                "a writer returns the name of its layer's output",
                where=layer.where,
                expected="what out.node(...) gave, or the name of an input",
                got=repr(y),
                fix="return out.node(...)",
            )
        return self.named(y, layer._built().path, first)

    @contextmanager
    def writing(self, layer: Layer) -> Any:
        before, self.at = self.at, layer
        try:
            yield
        finally:
            self.at = before

    def named(self, y: str, name: str, first: int) -> str:
        """Gives the value y another name, if a node from number `first` on made it; returns the name that it has.

        A node that has no name of a layer's yet gets that too.
        """
        made = next((node for node in self.nodes[first:] if node.gives == y), None)
        if made is None or not name or name in self.taken:
            return y
        self.taken.add(name)
        made.name = name if made.name == y and "/" in y else made.name
        made.gives = name
        for node in self.nodes[first:]:
            node.reads = [name if read == y else read for read in node.reads]
        return name
