"""What all containers share: building, checking what comes in, training and inference calls, summary and files.

`Sequential` and `Graph` say how their layers are connected, in `wire`, `run_forward`, `run_backward` and `run_predict`.
"""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple, Self

import numpy as np

from tinynn.backend import Array, Ops, get_backend
from tinynn.checks import positive_integer
from tinynn.errors import ConfigurationError, ShapeError, StateError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network import model_file
from tinynn.network.inputs import find_nan, receive, receive_gradient
from tinynn.network.storage import Storage, build_layers
from tinynn.site import as_shape

__all__ = ["Cache", "Evaluation", "Network"]

DTYPES = ("float32", "float64")


class Cache(NamedTuple):
    """What one `forward` leaves for its `backward`: the layers' caches, and a token that shows it is the latest."""

    caches: list[Any]
    scores: Array
    token: object


class Evaluation(NamedTuple):
    """The mean loss over a data set, and the share of rows whose highest score is right (NaN without labels)."""

    loss: float
    accuracy: float


class Network(Layer):
    """A layer made of layers, which owns their storage when it is built by itself."""

    storage: Storage
    final_loss: Loss | None = None  # set by wire, as is input_shapes: the shapes without that of the loss's targets
    input_shapes: tuple[Shape, ...]

    def build(
        self,
        *shapes: Shape,
        backend: str | Ops = "numpy",
        dtype: Any = "float32",
        seed: int = 0,
        needs_dx: bool = False,
    ) -> Self:
        """Settles all shapes, allocates the storage and draws the initial parameters; returns the network.

        `shapes`: of one example, without the batch axis, one for each input. `dtype`: float32 or float64. `seed`: an
        integer; each parameter has a stream of its own. `needs_dx`: True to have `backward` return the gradient with
        respect to the input, which training does not need. Building again starts anew.

        Errors: ShapeError, ConfigurationError; the network then is what it was before the call.
        """
        usable = tuple(sizes for shape in shapes if (sizes := as_shape(shape)) is not None and 0 not in sizes)
        if not usable or len(usable) != len(shapes):
            raise ShapeError(
                "build needs the shape of one example",
                where=repr(self),
                expected="a tuple of positive integers, without the batch axis",
                got=", ".join(map(repr, shapes)) or "nothing",
                fix=f"net.build(({shapes[0]},))" if shapes and isinstance(shapes[0], int) else "net.build((784,))",
            )
        if str(np.dtype(dtype) if dtype in (np.float32, np.float64) else dtype) not in DTYPES:
            raise ConfigurationError(
                "unknown dtype",
                where=repr(self),
                expected=" or ".join(DTYPES),
                got=repr(dtype),
                fix='net.build(shape, dtype="float32")',
            )
        ops = get_backend(backend)
        storage = build_layers(self, usable, ops, np.dtype(dtype), seed, needs_dx)
        self.storage, self._seed = storage, seed
        return self

    # --- how the layers are connected: for containers to define

    def wire(self, *shapes: Any, **options: Any) -> Shape:
        """Builds the layers, each for the shapes that reach it."""
        raise NotImplementedError

    def run_forward(self, xs: tuple[Array, ...]) -> tuple[Array, list[Any], Array]:
        """The output, the layers' caches, and what the loss was given (the output where there is no loss)."""
        raise NotImplementedError

    def run_backward(self, dy: Array, caches: list[Any]) -> Any:
        """The gradient with respect to the input; every layer writes its part."""
        raise NotImplementedError

    def run_predict(self, xs: tuple[Array, ...], link: bool = True) -> Array:
        """The output at inference; with `link` False, the scores that a loss at the end would be given."""
        raise NotImplementedError

    # --- training

    def forward(self, *xs: Array) -> tuple[Array, Cache]:
        """The training pass: (y, cache); for a network that ends in a loss, `forward(x, targets)` -> (loss, cache).

        Shapes: x (N, ...) as built. The output is borrowed until the next call.
        Errors: ShapeError, LabelError.
        """
        xs = receive(self, xs, targets=self.final_loss is not None)
        token = self._scratch.token = object()
        y, caches, scores = self.run_forward(xs)
        return y, Cache(caches, scores, token)

    def backward(self, dy: Any, cache: Cache) -> Any:
        """Writes every parameter's gradient, given that of the output; of a loss that is 1: `net.backward(1.0, cache)`.

        Returns dx if the network was built with `needs_dx=True`, else None.
        Errors: StateError for a cache that is not from this thread's latest `forward`, ShapeError for a wrong dy.
        """
        if not isinstance(cache, Cache):
            self._built()
            raise StateError(
                "backward needs the cache of a forward pass",
                where=self.where,
                expected="the second value that forward returned",
                got=f"a {type(cache).__name__}",
                fix="y, cache = net.forward(x); net.backward(dy, cache)",
            )
        if cache.token is not self._scratch.__dict__.get("token"):
            raise StateError(
                "a stale cache: the arrays it refers to have been used again since",
                where=self.where,
                expected="the cache of this thread's latest forward",
                got="the cache of an earlier one, or of another thread or network",
                fix="call backward before the next forward, predict or build",
            )
        if not (isinstance(dy, float) and self.final_loss is not None):
            dy = receive_gradient(self, dy, cache.scores.shape if self.final_loss is None else ())
        return self.run_backward(dy, cache.caches)

    # --- inference

    def predict(self, *xs: Array, batch_size: int = 1024) -> Array:
        """The output at inference, row by row: probabilities where the loss at the end defines them.

        Shapes: x (N, ...) as built; any number of rows, done `batch_size` at a time. The result is the caller's own.
        May be called from several threads at once.
        Errors: ShapeError; DataError for what is no number, and for NaN or Inf that makes the output NaN.
        """
        site = self._built()
        if site.path:  # as a layer of another network: borrowed, like any layer's output
            return self.run_predict(xs)
        batch_size = positive_integer(batch_size, "batch_size", where=self.where, fix="leave it out, or 1024")
        xs = receive(self, xs)
        self._scratch.token = None
        n = len(xs[0])
        starts = range(0, max(n, 1), batch_size)
        with np.errstate(over="ignore", invalid="ignore"):  # what they would warn of is looked for below
            parts = [self.run_predict(tuple(x[i : i + batch_size] for x in xs)).copy() for i in starts]
        y = parts[0] if len(parts) == 1 else self.xp.concatenate(parts)
        if self.xp.isnan(y).any():
            find_nan(self, xs)
        return y

    def loss(self, x: Array, targets: Array) -> float:
        """The mean loss over the rows, at inference."""
        return self.evaluate(x, targets).loss

    def evaluate(self, x: Array, targets: Array, *, batch_size: int = 1024) -> Evaluation:
        """The mean loss over the rows at inference, and the accuracy where the targets are labels.

        Errors: StateError for a network that does not end in a loss, ShapeError, LabelError; DataError for NaN or Inf
        in x that makes the loss NaN.
        """
        self._built()
        batch_size = positive_integer(batch_size, "batch_size", where=self.where, fix="leave it out, or 1024")
        if self.final_loss is None:
            raise StateError(
                "this network does not end in a loss",
                where=self.where,
                expected="a loss such as SoftmaxCrossEntropy() as the last layer",
                got=repr(self),
                fix="add the loss; predict(x) is the same without one, but for the probabilities",
            )
        x, targets = receive(self, (x, targets), targets=True)
        self.final_loss.check_targets(self.ops.to_host(targets), self.final_loss._built().shapes[0])
        labels = self.final_loss.labels(targets)
        self._scratch.token = None
        total, right = 0.0, 0
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(x), batch_size):
                rows = slice(start, start + batch_size)
                scores = self.run_predict((x[rows],), link=False)
                total += float(self.final_loss.predict(scores, targets[rows])) * len(scores)
                if labels is not None:
                    right += int((scores.argmax(axis=1) == labels[rows]).sum())
        if math.isnan(total):
            find_nan(self, (x,))
        return Evaluation(total / len(x), right / len(x) if labels is not None else float("nan"))

    # --- looking, saving, loading

    def summary(self) -> str:
        """A table of the layers with their output shapes and numbers of parameters."""
        rows = [("layer", "", "output", "parameters")]
        for path, layer in self.walk():
            if isinstance(layer, Network):
                continue
            site = layer._built()
            count = sum(int(np.prod(d.shape)) for d in site.declared.values() if d.trained)
            rows.append((path, repr(layer), str(site.output), f"{count:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in rows]
        total = sum(int(np.prod(view.shape)) for view in self.storage.parameters.values())
        lines.append(f"{total:,} parameters, {self.dtype}, {self.ops.name}, input {self._built().shapes[0]}")
        return "\n".join(line.rstrip() for line in lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters and states by name to an .npz file, which NumPy alone can read."""
        self._built()
        model_file.write(path, self.storage.arrays())

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Reads parameters and states from a file that `save` wrote into this network, and returns it.

        Errors: DataError for a file that cannot be read, ShapeError where its arrays do not fit; nothing is changed
        then.
        """
        self._built()
        self.storage.assign(model_file.read(path), where=os.fspath(path))
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles of a network that was built by itself are built, and hold its parameters."""
        state = super().__getstate__()
        state.pop("storage", None)
        if self._site is not None and not self._site.path:
            how = {"backend": self.ops.name, "dtype": str(self.dtype), "seed": self._seed, "needs_dx": self.needs_dx}
            state["_rebuild"] = (self._site.shapes, how, self.storage.arrays())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        rebuild = state.pop("_rebuild", None)
        self.__dict__.update(state)
        if rebuild is not None:
            shapes, how, arrays = rebuild
            self.build(*shapes, **how)
            self.storage.assign(arrays, where=self.where)
