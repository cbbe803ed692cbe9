"""What all containers share: building, checking what comes in, training and inference calls, summary and files.

`Sequential` and `Graph` say how their layers are connected, in `wire`, `run_forward`, `run_backward`, `run_predict` and
`run_scores`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from tinynn.backend import Array, Ops, get_backend, named
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network.building import check_precision, usable_dtype, usable_shapes
from tinynn.network.cache import Cache, refuse_cache
from tinynn.network.evaluation import Evaluation, evaluate
from tinynn.network.finite import CHECKING, watched
from tinynn.network.inference import predict
from tinynn.network.inputs import receive, receive_gradients
from tinynn.network.storage import Storage, build_layers

if TYPE_CHECKING:
    from tinynn.network.explanation import Explanation

__all__ = ["Cache", "Evaluation", "Network"]


class Network(Layer):
    """A layer made of layers, which owns their storage when it is built by itself."""

    storage: Storage
    metadata: Mapping[str, Any] = MappingProxyType({})  # saved with it: {"classes": names}; assign any JSON object
    is_graph = False
    """Whether `reads` says more than that each layer reads the one above it."""

    # Set by wire.
    final_loss: Loss | None = None  # the loss that is the only output, if there is one
    input_names: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    target_names: tuple[str, ...] = ()  # what `forward` takes behind the inputs
    optional_targets: int = 0  # how many of them, at the end, may be left out
    target_slots: tuple[int, ...] = ()  # which argument of the loss each of them is: 1 targets, 2 weights

    def build(
        self,
        *shapes: Shape,
        backend: str | Ops = "numpy",
        dtype: Any = "float32",
        precision: str = "float32",
        seed: int = 0,
        needs_dx: bool = False,
    ) -> Self:
        """Settles all shapes, allocates the storage and draws the initial parameters; returns the network.

        `shapes`: of one example, without the batch axis, one for each input. `backend`: "numpy"; "llvm", which compiles
        what fit and predict repeat; "cupy". `dtype`: float32 or float64. `precision`: "float32", or on a GPU "tf32" or
        "bfloat16", to which the matrices are rounded before they are multiplied: faster, with 3 or 2 digits; sums stay
        float32. `seed`: an integer; each parameter has a stream of its own. `needs_dx`: True to have `backward` return
        the gradient with respect to the input, which training does not need. Building again starts anew.

        Errors: ShapeError, ConfigurationError; the network then is what it was before the call.
        """
        usable, float_type = usable_shapes(self, shapes), usable_dtype(self, dtype)
        ops = get_backend(backend, precision)
        check_precision(self, float_type, ops)
        storage = build_layers(self, usable, ops, float_type, seed, needs_dx)
        self.storage, self._seed = storage, seed
        return self

    @property
    def replays(self) -> bool:
        """Whether its passes may be recorded as array calls."""
        return type(self).__dict__.get("straight", False) and self.ops.records

    # --- how the layers are connected: for containers to define

    def wire(self, *shapes: Any, **options: Any) -> Any:
        """Builds the layers, each for the shapes that reach it; returns the output's shape, or those of the outputs."""
        raise NotImplementedError

    def run_forward(self, xs: tuple[Array, ...]) -> tuple[Any, list[Any], tuple[Array, ...]]:
        """The output (a tuple of several), the layers' caches, and what belongs into `Cache.given`."""
        raise NotImplementedError

    def run_backward(self, dy: Any, caches: list[Any]) -> Any:
        """The gradient with respect to the inputs; every layer writes its part."""
        raise NotImplementedError

    def run_predict(self, xs: tuple[Array, ...]) -> Any:
        """The output at inference (a tuple of several), from the inputs without targets."""
        raise NotImplementedError

    def run_scores(self, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """What the loss at the end is given at inference: scores, targets, weights; from inputs and targets."""
        raise NotImplementedError

    def reads(self, name: str) -> tuple[str, ...]:
        """From which layers or inputs the layer of that name takes its input."""
        raise NotImplementedError

    def reads_integers(self, name: str) -> bool:
        """Whether the input of that name is wanted as integers where it comes as such."""
        raise NotImplementedError

    # --- training

    def forward(self, *xs: Array) -> tuple[Any, Cache]:
        """The training pass: (y, cache); for a network that ends in a loss, `forward(x, targets)` -> (loss, cache).

        Shapes: x (N, ...) as built, one for each input, and behind them the targets; the loss then takes a weight for
        each row too, `forward(x, targets, weights)`. Several outputs come as a tuple, borrowed until the next call.
        Errors: ShapeError, LabelError.
        """
        xs = receive(self, xs, targets=bool(self.target_names))
        token = self._scratch.token = object()
        y, caches, given = (watched(self) if CHECKING.get() else self).run_forward(xs)
        if self.final_loss is not None:
            y = +y  # a number of the caller's own: the loss's array is borrowed
        elif isinstance(y, tuple):
            y = tuple([part if getattr(part, "shape", ()) else +part for part in y])
        return y, Cache(caches, given, token)

    def backward(self, dy: Any, cache: Cache) -> Any:
        """Writes every parameter's gradient, given that of the output; of a loss that is 1: `net.backward(1.0, cache)`.

        Of several outputs `dy` is the tuple of their gradients: `net.backward((1.0, 0.5), cache)` weighs two losses.
        Returns dx (a tuple for several inputs) if the network was built with `needs_dx=True`, else None.
        Errors: StateError for a cache that is not from this thread's latest `forward`, ShapeError for a wrong dy.
        """
        if not isinstance(cache, Cache) or cache.token is not self._scratch.__dict__.get("token"):
            refuse_cache(self, cache)
        if not (isinstance(dy, float) and self.final_loss is not None):
            dy = receive_gradients(self, dy, [()] if self.final_loss is not None else [y.shape for y in cache.given])
        return (watched(self) if CHECKING.get() else self).run_backward(dy, cache.caches)

    # --- inference

    def predict(self, *xs: Array, batch_size: int = 1024) -> Any:
        """The output at inference, row by row: probabilities where a loss at the end defines them.

        Shapes: x (N, ...) as built, one for each input, without targets; any number of rows, done `batch_size` at a
        time. Several outputs come as a tuple; they are the caller's own. Several threads may call it at once.
        Errors: ShapeError; DataError for what is no number, and for NaN or Inf that makes an output NaN.
        """
        if self._built().path:  # as a layer of another network: borrowed, like any layer's output
            return (watched(self) if CHECKING.get() else self).run_predict(xs)
        return predict(watched(self) if CHECKING.get() else self, xs, batch_size)

    def loss(self, *data: Array) -> float:
        """The mean loss over the rows, at inference; `data` as `forward` takes it."""
        return self.evaluate(*data).loss

    def evaluate(self, *data: Array, batch_size: int = 1024) -> Evaluation:
        """The mean loss over the rows at inference, and the accuracy where the targets are labels.

        `data`: what `forward` takes: x, targets, and weights of the rows if you like; or one object with `len()` and
        `take(rows)`, which returns that for those rows.
        Errors: StateError for a network that does not end in a loss, ShapeError, LabelError; DataError for NaN or Inf
        in x that makes the loss NaN.
        """
        return evaluate(watched(self) if CHECKING.get() else self, data, batch_size)

    # --- looking, saving, loading

    def explain(self, *data: Array, optimizer: Any = None) -> Explanation:
        """One training step as a table: print it, or let a notebook show it. It changes nothing.

        `data`: what `forward` takes. For each layer: its formula, shapes, parameters; the smallest, mean and largest
        number that it puts out; the norm of the gradient at its output, and of that which it hands down; how many of
        its units are dead. For each parameter: its norm, that of its gradient, and with an `optimizer` how far a step
        moves it. And a line of advice where something is plainly wrong. The step is made on a copy of the network.
        Errors: StateError for a network that does not end in a loss, ConfigurationError where it cannot be copied,
        ShapeError, LabelError.
        """
        from tinynn.network.explaining import explain

        return explain(self, data, optimizer)

    def summary(self) -> str:
        """A table of the layers: what they read where that is not the line above, output shapes, parameters."""
        self._built()
        from tinynn.network.drawing import table  # not at the top: few programs draw

        return table(self)

    def plot(self, path: str | os.PathLike[str] | None = None) -> str:
        """The wiring as a picture: Mermaid text, which many editors and web pages draw; with a path, also a file.

        The file's ending says what it is: .mmd is the text itself; .svg, .png and .pdf are drawn by graphviz.
        Errors: MissingExtraError without graphviz, ConfigurationError without its program `dot` or for other endings.
        """
        self._built()
        from tinynn.network.drawing import draw

        return draw(self, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes layers, parameters and states to a file, from which `tinynn.load` makes the network without its code.

        NumPy alone can read the arrays, by name: np.load(path). With the ending .safetensors it is a file that many
        programs read. An argument that no file holds, such as a lock, stays out; then `net.load` reads the file, into
        a network that was built in code.
        Errors: DataError where it cannot be written; MissingExtraError without the package safetensors.
        """
        from tinynn.network import model_file  # not at the top: files and archives take 13 ms to import

        model_file.write(path, self)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Reads parameters and states, by name, from a file of `save` into this network, and returns it.

        Errors: DataError for a file that cannot be read, ShapeError where its arrays do not fit; nothing is changed
        then.
        """
        from tinynn.network import model_file

        self._built()
        self.storage.assign(model_file.arrays_in(path), where=os.fspath(path))
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles of a network that was built by itself are built, and hold its parameters."""
        state = super().__getstate__()
        state.pop("storage", None)
        if self._site is not None and not self._site.path:
            how = {
                "backend": named(self.ops),
                "dtype": str(self.dtype),
                "precision": self.ops.precision,
                "seed": self._seed,
                "needs_dx": self.needs_dx,
            }
            state["_rebuild"] = (self._site.shapes, how, self.storage.arrays())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        rebuild = state.pop("_rebuild", None)
        self.__dict__.update(state)
        if rebuild is not None:
            shapes, how, arrays = rebuild
            self.build(*shapes, **how)
            self.storage.assign(arrays, where=self.where)
